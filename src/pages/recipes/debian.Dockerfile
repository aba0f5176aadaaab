# A daemon from Debian's packages, with what clients of docker:dind expect
FROM debian:stable-slim
RUN apt-get update \
    && apt-get install -y --no-install-recommends \
        ca-certificates docker.io docker-cli docker-buildx docker-compose iptables \
    && rm -rf /var/lib/apt/lists/*
COPY dindcheck /usr/local/bin/
ENV DOCKER_TLS_CERTDIR=/certs
VOLUME /var/lib/docker
# GitLab's runner dials both ports to learn when the service is ready.
EXPOSE 2375 2376
HEALTHCHECK --interval=5s --start-period=60s CMD ["dindcheck", "health"]
ENTRYPOINT ["dindcheck", "--fix"]
