# The official image, with dindcheck in the place of its entrypoint
FROM docker:dind
COPY dindcheck /usr/local/bin/
HEALTHCHECK --interval=5s --start-period=60s CMD ["dindcheck", "health"]
ENTRYPOINT ["dindcheck", "--fix"]
