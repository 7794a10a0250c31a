# The Python peer with the native engine, in a container. Put `--aio` before `--engine` for the asyncio peer.

FROM python:3.11-slim-bookworm AS uv
COPY requirements.lock ./
RUN pip install --no-cache-dir "$(sed -n 's/^\(uv==[^ ]*\).*/\1/p' requirements.lock)"

FROM rust:1.95-bookworm AS engine
RUN apt-get update && apt-get install -y --no-install-recommends python3 && rm -rf /var/lib/apt/lists/*
COPY --from=uv /usr/local/bin/uv /usr/local/bin/
WORKDIR /src
COPY python-native python-native
RUN uv build --no-cache --python /usr/bin/python3 --wheel --out-dir /wheels ./python-native

FROM uv AS build
WORKDIR /src
COPY python-common python-common
COPY python-server python-server
COPY python-client python-client
COPY python-demo python-demo
COPY interop/python interop/python
COPY --from=engine /wheels /wheels
RUN uv venv /opt/samehost \
 && uv pip install --no-cache --python /opt/samehost --constraint /requirements.lock --compile-bytecode \
      ./python-common ./python-server ./python-client ./python-demo ./interop/python /wheels/*

FROM python:3.11-slim-bookworm
COPY --from=build /opt/samehost /opt/samehost
ENV PATH=/opt/samehost/bin:$PATH
USER nobody
ENTRYPOINT ["python", "-m", "samehost_interop_python"]
