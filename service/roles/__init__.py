"""The processes of a service. Each imports what it needs and no more: what is slow to load, few of them need."""
