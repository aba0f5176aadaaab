# A rootless daemon from Debian's packages, for a container without --privileged
#
# docker run --device /dev/net/tun --security-opt seccomp=unconfined --security-opt apparmor=unconfined \
#     --security-opt systempaths=unconfined IMAGE
FROM debian:stable-slim
RUN apt-get update \
    && apt-get install -y --no-install-recommends \
        ca-certificates docker.io docker-cli docker-buildx docker-compose iptables \
        iproute2 libcap2-bin rootlesskit slirp4netns uidmap \
    && rm -rf /var/lib/apt/lists/* \
    && chmod u-s /usr/bin/newuidmap /usr/bin/newgidmap \
    && setcap cap_setuid=ep /usr/bin/newuidmap \
    && setcap cap_setgid=ep /usr/bin/newgidmap \
    && useradd --create-home --uid 1000 rootless \
    && install -d -m 1777 /run/user /certs \
    && cd /home/rootless && install -d -o rootless -g rootless .local .local/share .local/share/docker
COPY dindcheck /usr/local/bin/
USER rootless
ENV HOME=/home/rootless
VOLUME /home/rootless/.local/share/docker
EXPOSE 2375 2376
HEALTHCHECK --interval=5s --start-period=60s CMD ["dindcheck", "health"]
ENTRYPOINT ["dindcheck", "--fix"]
