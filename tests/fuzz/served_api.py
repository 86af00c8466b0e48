"""The whole API on a new database, served on a port: `python -m tests.fuzz.served_api FOLDER PORT`."""

import sys
from pathlib import Path

import uvicorn
from helpers.databases import open_database
from helpers.hostile_requests import application

if __name__ == "__main__":
    folder, port = Path(sys.argv[1]), int(sys.argv[2])
    app, _ = application(open_database(folder / "records.db"), folder)
    uvicorn.run(app, host="127.0.0.1", port=port, log_level="warning")
