# Two images from one file: `--target server` and `--target client`.

FROM python:3.11-slim-bookworm AS build
WORKDIR /src
COPY requirements.lock ./
RUN pip install --no-cache-dir "$(sed -n 's/^\(uv==[^ ]*\).*/\1/p' requirements.lock)"
COPY python-common python-common
COPY python-server python-server
COPY python-client python-client

# The lock constrains: versions and hashes are its own, tools for development are left out.
FROM build AS build-server
RUN uv venv /opt/samehost \
 && uv pip install --no-cache --python /opt/samehost --constraint requirements.lock --compile-bytecode \
      ./python-common './python-server[cli]' './python-client[cli]'

FROM build AS build-client
RUN uv venv /opt/samehost \
 && uv pip install --no-cache --python /opt/samehost --constraint requirements.lock --compile-bytecode \
      ./python-common './python-client[cli]'

# The server's image has the client's command too: its health check is `samehost health`.
FROM python:3.11-slim-bookworm AS server
COPY --from=build-server /opt/samehost /opt/samehost
ENV PATH=/opt/samehost/bin:$PATH
USER nobody
ENTRYPOINT ["samehost-server"]

FROM python:3.11-slim-bookworm AS client
COPY --from=build-client /opt/samehost /opt/samehost
ENV PATH=/opt/samehost/bin:$PATH
USER nobody
ENTRYPOINT ["samehost"]
