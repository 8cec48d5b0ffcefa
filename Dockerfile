FROM node:24-bookworm-slim AS packages
WORKDIR /app
COPY package.json package-lock.json ./
# Nothing is compiled and no package's script runs: what is native comes ready in its package.
RUN npm ci --omit=dev --ignore-scripts --no-audit --no-fund

FROM node:24-bookworm-slim
ENV NODE_ENV=production \
    LOCUM_DATA=/data \
    LOCUM_HEALTHZ=http://127.0.0.1:8081/healthz
WORKDIR /app
COPY --from=packages /app/node_modules ./node_modules
# What comes along is named in .dockerignore.
COPY . .
# Nothing is written but here, so that the rest can be mounted read-only. /run/locum is for Unix sockets: it
# passes its group on, so that they are for that group (docs/LISTENERS.md).
RUN install -d -o node -g node -m 0700 /data && install -d -o node -g node -m 2770 /run/locum
VOLUME /data
# The user `node`, by number, so that an orchestrator can see that it is not root.
USER 1000:1000
EXPOSE 8080 8081
# LOCUM_HEALTHZ follows `listen: { console: … }` where a file moves it.
HEALTHCHECK --interval=10s --timeout=3s --start-period=10s --retries=3 \
  CMD ["node", "-e", "fetch(process.env.LOCUM_HEALTHZ).then((r) => process.exit(r.ok ? 0 : 1), () => process.exit(1))"]
ENTRYPOINT ["/app/bin/locum"]
CMD ["serve"]
