"""The staff's view of jobs and generations. What is done with them is done on their pages and with `manage.py`."""
