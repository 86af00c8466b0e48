"""Section 2: the application entities and what they do, one after the other."""

from service.conformance.rows import Section


def implementation_model() -> Section:
    """The same for every configuration."""
    return Section(
        "2. Implementation model",
        [
            "### 2.1 Application data flow\n\n"
            "```\n"
            "scanner or PACS -- C-STORE --> receiver --> analysis --> sender -- C-STORE or STOW-RS --> PACS\n"
            "                                  ^                         |---- N-ACTION ------------> PACS\n"
            "                                  |--- N-EVENT-REPORT --- PACS\n"
            "                                                            |---- C-FIND or QIDO-RS ---> PACS\n"
            "```",
            "### 2.2 Functional definition of the application entities\n\n"
            "- **Receiver**: Storage SCP and Verification SCP. It stores what it gets as it came. A study is "
            "complete when no CT image of it came for `receiver.quiet_s`. It also takes the reports of storage "
            "commitment.\n"
            "- **Sender**: Storage SCU to any number of destinations, Storage Commitment SCU and Query SCU, STOW-RS, "
            "QIDO-RS and WADO-RS user agent.",
            "### 2.3 Sequencing\n\n"
            "Images of SOP class CT, Enhanced CT and Legacy Converted Enhanced CT are analysed when they pass the "
            "gate ([reject reasons](reject-reasons.md)). All other objects are stored and ignored by name; a study "
            "that holds images, but no CT, becomes one job that is refused `NOT_CT`. Reports, segmentations, "
            "presentation states and Secondary Captures never make a job. What an object refers to is sent before "
            "it; the summary, which refers to all the others, is sent last. Then commitment is asked for, or the "
            "archive is searched.",
        ],
    )
