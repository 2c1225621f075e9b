# syntax=docker/dockerfile:1
# dbslo as an image: the wheel in a virtual environment, run by nobody in particular.

FROM python:3.12.11-slim-bookworm AS build
WORKDIR /src
RUN python -m venv /opt/dbslo
COPY pyproject.toml README.md LICENSE ./
COPY slo slo
COPY streams streams
COPY alerts alerts
COPY dashboards dashboards
COPY dbslo dbslo
COPY examples examples
RUN /opt/dbslo/bin/pip install --no-cache-dir --disable-pip-version-check .

FROM python:3.12.11-slim-bookworm
RUN useradd --system --uid 10001 --create-home --home-dir /var/lib/dbslo dbslo
COPY --from=build /opt/dbslo /opt/dbslo
ENV PATH=/opt/dbslo/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1
USER dbslo
WORKDIR /var/lib/dbslo
EXPOSE 9466
ENTRYPOINT ["dbslo"]
CMD ["run"]
