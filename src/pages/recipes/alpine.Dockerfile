# A daemon from Alpine's packages, with what clients of docker:dind expect
FROM alpine
RUN apk add --no-cache docker docker-cli-buildx docker-cli-compose iptables
COPY dindcheck /usr/local/bin/
ENV DOCKER_TLS_CERTDIR=/certs
VOLUME /var/lib/docker
# GitLab's runner dials both ports to learn when the service is ready.
EXPOSE 2375 2376
HEALTHCHECK --interval=5s --start-period=60s CMD ["dindcheck", "health"]
ENTRYPOINT ["dindcheck", "--fix"]
