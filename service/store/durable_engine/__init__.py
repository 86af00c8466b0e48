"""The durable engine: DBOS Transact. Nothing else in the package imports it.

Three workflows (`workflows`), each a row in the engine's database before anything runs:

    study(job_id, attempt)                 analyses once; then one delivery per destination is queued
    delivery(job_id, destination, attempt) makes ONE attempt; the next attempt is a DELAYED row, never a sleep
    shadow(job_id, attempt)                candidates analyse what has been analysed, when no study waits

Steps run at least once: after a kill the step that was running runs again, so steps are idempotent. Steps return
values and never raise (an exception may not survive pickling). Workflow ids are deterministic: queueing twice is one.
The jobs table says what is to be done; `ensure_study` and `ensure_delivery` queue it where no workflow is at it.

Liveness: every worker process holds a lock named as its executor id (`store.liveness`), freed the moment the process
dies. A thread in each worker (`watcher`) takes over the pending work of executors whose lock is free.

Private functions and tables of DBOS are used in `dbos_internals` alone, which says what to check at an upgrade.
"""
