"""What one GPU worker process holds: the face engine, the vector store, and FaceIndex over both.

Knows neither Celery nor Django and reads no environment: everything arrives as an argument.
"""
