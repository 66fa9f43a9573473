"""What crosses the queue: names, messages, the Celery app, and the thin tasks that call FaceIndex.

Imports neither `webapp` nor the ORM; of Django it uses settings and storage.
"""
