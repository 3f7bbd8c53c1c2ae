# Whetstone in a container, made of the same two commands as on any machine (README.md):
#   docker build -t whetstone . && docker run --rm -p 8888:8888 whetstone          (with an NVIDIA card: --gpus all)
#   docker run --rm whetstone npm test
# Untested: no container has been built of it yet. test/setup/hosts.test.ts keeps it in step with the README.
FROM node:24-bookworm-slim

RUN apt-get update && apt-get install -y --no-install-recommends git python3 python3-venv python3-pip ca-certificates \
  && rm -rf /var/lib/apt/lists/*

# JupyterLab does not run as root; the image's own account does.
RUN mkdir /whetstone && chown node:node /whetstone
USER node
WORKDIR /whetstone
COPY --chown=node:node . .
# What both commands would do first, done once for all containers.
RUN npm run setup

EXPOSE 8888
CMD ["npm", "start", "--", "--no-browser", "--ip=0.0.0.0"]
