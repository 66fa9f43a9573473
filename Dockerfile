# One image for all processes; docker-compose.yml sets the command of each container.
FROM python:3.11-slim-bookworm
WORKDIR /app
COPY requirements/postgres.txt requirements/
RUN pip install --no-cache-dir --no-deps --require-hashes -r requirements/postgres.txt
COPY manage.py Procfile pyproject.toml ./
COPY worker worker
COPY tasks tasks
COPY webapp webapp
RUN useradd --system --create-home facequeue && mkdir /data && chown facequeue /data
USER facequeue
ENV FACEQUEUE_DATA_DIR=/data PYTHONUNBUFFERED=1 OMP_NUM_THREADS=1 MALLOC_ARENA_MAX=2 DJANGO_SETTINGS_MODULE=webapp.config.settings
VOLUME /data
