# mriprep as a BIDS-App: docker run IMAGE /in /out participant   (docs/cohort.md)
FROM python:3.12-slim AS build

WORKDIR /source
COPY pyproject.toml hatch_build.py constraints.txt README.md LICENSE ./
COPY src ./src
# PyTorch for CPUs: the default for Linux carries libraries for GPUs, several gigabytes of them.
ARG TORCH_INDEX=https://download.pytorch.org/whl/cpu
RUN python -m venv /opt/mriprep \
    && /opt/mriprep/bin/pip install --no-cache-dir -c constraints.txt --index-url "$TORCH_INDEX" --no-deps torch \
    && /opt/mriprep/bin/pip install --no-cache-dir -c constraints.txt ".[cluster]" \
    && find /opt/mriprep -name __pycache__ -prune -exec rm -rf {} +

FROM python:3.12-slim

LABEL org.opencontainers.image.title="mriprep" \
      org.opencontainers.image.description="From a scanner's DICOM files to arrays that a network can be trained on" \
      org.opencontainers.image.licenses="Apache-2.0"

COPY --from=build /opt/mriprep /opt/mriprep

# Containers are run as the user whose files they write, who has no home in them: what is compiled
# or cached needs one that anybody may write to.
ENV PATH="/opt/mriprep/bin:$PATH" \
    HOME=/tmp \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1

RUN useradd --create-home --uid 1000 mriprep
USER 1000:1000
WORKDIR /tmp

ENTRYPOINT ["mriprep", "bids"]
CMD ["--help"]
