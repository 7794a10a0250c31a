# The demo in one image: `samehost-server`, `samehost` and `samehost-demo`.

FROM python:3.11-slim-bookworm AS build
WORKDIR /src
COPY requirements.lock ./
RUN pip install --no-cache-dir "$(sed -n 's/^\(uv==[^ ]*\).*/\1/p' requirements.lock)"
COPY python-common python-common
COPY python-server python-server
COPY python-client python-client
COPY python-demo python-demo
# The lock is used as constraints: it sets the versions, and development tools are not installed.
RUN uv venv /opt/samehost \
 && uv pip install --no-cache --python /opt/samehost --constraint requirements.lock --compile-bytecode \
      ./python-common ./python-server ./python-client ./python-demo

FROM python:3.11-slim-bookworm
COPY --from=build /opt/samehost /opt/samehost
ENV PATH=/opt/samehost/bin:$PATH
USER nobody
