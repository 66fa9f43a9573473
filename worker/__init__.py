"""What one GPU worker process holds: the face engine, the vector store, and FaceIndex over both.

It imports neither Celery nor Django and reads no environment variable: everything arrives as an argument.
"""
