#!/usr/bin/env bash
# Makes the two base images on this machine, under the names that Dockerfile and docker-compose.yml use:
#
#   node:24-bookworm-slim   Debian bookworm, Node.js 24 from npm's package `node`, this machine's npm, a user `node` (1000)
#   nats:2.15-alpine        busybox and the nats-server that the tests use, with the official image's entry point
#
# Only for machines that can reach no image registry; everywhere else Docker pulls the official ones and
# nobody needs this script. It does nothing for an image that is there already, so it never replaces a
# pulled one. The server may be of another version than the tag says (`docker run --rm nats:2.15-alpine --version`):
# it is the installed one where there is one (scripts/nats-server.mjs).
#
# It needs root, a Docker engine (docker/engine.sh starts one), debootstrap, Node.js 20 or later, and a
# Debian or Ubuntu with the package lists of `apt-get update`. The machine's own certificates go into the
# images, so that `npm ci` in a build trusts whom the machine trusts. DEBIAN_MIRROR: where debootstrap
# fetches, if not from its default. An older local image, node:20-bookworm-slim, serves as well as debootstrap.
set -euo pipefail

node_image=node:24-bookworm-slim
node_major=24
older_node_image=node:20-bookworm-slim
nats_image=nats:2.15-alpine
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
certificates=/etc/ssl/certs/ca-certificates.crt

fail() {
  echo "local-images.sh: $*" >&2
  exit 1
}

need() { command -v "$1" >/dev/null || fail "no \`$1\` on the PATH (Debian: apt-get install $2)"; }

exists() { docker image inspect "$1" >/dev/null 2>&1; }

# fetch_packages FOLDER PACKAGE...: lays the packages' files into the folder.
fetch_packages() {
  local root=$1
  shift
  mkdir -p "$work/packages"
  (cd "$work/packages" && rm -f ./*.deb && apt-get download -q -o APT::Sandbox::User=root "$@" >&2)
  local package
  for package in "$work/packages"/*.deb; do
    dpkg -x "$package" "$root"
  done
}

copy_certificates() {
  [ ! -r "$certificates" ] || install -D -m 644 "$certificates" "$1$certificates"
}

# Prints the path of a Node.js of the wanted version, fetched by npm where it is not this machine's.
node_binary() {
  need npm npm
  (cd "$work" && npx --yes -p "node@$node_major" -- node -p process.execPath)
}

# Debian, npm and the user are those of an older image that is there.
derive_node_image() {
  local folder=$work/derived
  mkdir -p "$folder"
  install "$(node_binary)" "$folder/node"
  printf 'FROM %s\nCOPY node /usr/local/bin/node\n' "$older_node_image" >"$folder/Dockerfile"
  docker build --quiet --tag "$node_image" "$folder" >/dev/null
}

make_node_image() {
  if exists "$older_node_image"; then
    derive_node_image
    return
  fi
  need debootstrap debootstrap
  local root=$work/node npm_folder
  npm_folder=$(npm root --global)/npm
  [ -d "$npm_folder" ] || fail "npm is not in $npm_folder"

  local arguments=(--variant=minbase --include=ca-certificates,libstdc++6 bookworm "$root")
  [ -z "${DEBIAN_MIRROR:-}" ] || arguments+=("$DEBIAN_MIRROR")
  debootstrap "${arguments[@]}" >"$work/debootstrap.log" 2>&1 || {
    tail -n 20 "$work/debootstrap.log" >&2
    fail 'debootstrap failed'
  }
  rm -rf "$root"/var/cache/apt/* "$root"/var/lib/apt/lists/* "$root"/usr/share/{doc,man,info,locale} "$root"/var/log/*

  local modules=$root/usr/local/lib/node_modules
  install -D "$(node_binary)" "$root/usr/local/bin/node"
  mkdir -p "$modules"
  cp -rL "$npm_folder" "$modules/npm"
  ln -s ../lib/node_modules/npm/bin/npm-cli.js "$root/usr/local/bin/npm"
  ln -s ../lib/node_modules/npm/bin/npx-cli.js "$root/usr/local/bin/npx"
  chroot "$root" groupadd --gid 1000 node
  chroot "$root" useradd --uid 1000 --gid node --shell /bin/bash --create-home node
  chroot "$root" node --version >/dev/null || fail "Node.js $node_major does not run on bookworm"
  copy_certificates "$root"

  tar -C "$root" --numeric-owner --exclude='./dev/*' --exclude='./proc/*' --exclude='./sys/*' -c . | docker import \
    --change 'ENV PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin' \
    --change "ENV NODE_EXTRA_CA_CERTS=$certificates" \
    --change 'CMD ["node"]' \
    - "$node_image" >/dev/null
}

make_nats_image() {
  local root=$work/nats applet server
  mkdir -p "$root"/{bin,etc/nats,tmp,usr/local/bin}
  fetch_packages "$root" busybox-static libc6
  rm -rf "$root"/usr/share "$root"/etc/ld.so.conf.d
  server=$(node "$here/../scripts/nats-server.mjs" | tail -n 1)
  install -m 755 "$server" "$root/usr/local/bin/nats-server"
  for applet in $("$root/bin/busybox" --list); do
    [ -e "$root/bin/$applet" ] || ln -s busybox "$root/bin/$applet"
  done
  chmod 1777 "$root/tmp"
  echo 'root:x:0:0:root:/root:/bin/sh' >"$root/etc/passwd"
  echo 'root:x:0:' >"$root/etc/group"
  printf 'http: 8222\n' >"$root/etc/nats/nats-server.conf"
  # As in the official image: options alone are the server's, anything else is run as it is.
  cat >"$root/usr/local/bin/docker-entrypoint.sh" <<'ENTRYPOINT'
#!/bin/sh
set -e
case ${1:-} in
  -*) set -- nats-server "$@" ;;
esac
exec "$@"
ENTRYPOINT
  chmod 755 "$root/usr/local/bin/docker-entrypoint.sh"
  copy_certificates "$root"

  tar -C "$root" --owner=0 --group=0 --numeric-owner -c . | docker import \
    --change 'ENV PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin' \
    --change 'EXPOSE 4222 6222 8222' \
    --change 'ENTRYPOINT ["docker-entrypoint.sh"]' \
    --change 'CMD ["nats-server", "--config", "/etc/nats/nats-server.conf"]' \
    - "$nats_image" >/dev/null
}

need docker docker.io
docker version --format '{{.Server.Version}}' >/dev/null 2>&1 || fail 'no Docker engine answers (docker/engine.sh start)'

missing=()
exists "$node_image" || missing+=(node)
exists "$nats_image" || missing+=(nats)
[ ${#missing[@]} -gt 0 ] || exit 0

[ "$(id -u)" = 0 ] || fail 'only root can make the images'
need apt-get apt
need dpkg dpkg
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
chmod 755 "$work"

for name in "${missing[@]}"; do
  image=${name}_image
  echo "making ${!image} on this machine" >&2
  "make_${name}_image"
done
