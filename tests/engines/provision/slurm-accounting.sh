#!/usr/bin/env bash
# The Slurm of slurm.sh with accounting: slurmdbd and MariaDB from Debian 12, both for this machine alone, and a user
# with the accounts lab (the default) and other. `stop` deletes the database and leaves Slurm without accounting.
# shellcheck source-path=SCRIPTDIR
. "$(dirname "$0")/common.sh"

readonly database_dir=$state_dir/slurm-accounting
readonly port=33066
readonly target=/etc/slurm/slurmdbd.conf
readonly marker="# Written by the provisioning script of the calm tests."
slurm=$(dirname "$0")/slurm.sh

sql() {
    mariadb --no-defaults --user=root --socket="$database_dir/socket" --execute "$1"
}

install() {
    apt_install slurmdbd mariadb-server-core mariadb-client-core
    if [ -f "$target" ] && ! grep -qxF "$marker" "$target"; then
        fail "$target exists and was not written by this script; this machine already keeps accounts"
    fi
    bash "$slurm" install
}

# configuration PASSWORD
configuration() {
    cat <<CONF
$marker
AuthType=auth/munge
DbdHost=localhost
DbdAddr=127.0.0.1
SlurmUser=root
StorageType=accounting_storage/mysql
StorageHost=127.0.0.1
StoragePort=$port
StorageUser=slurm
StoragePass=$1
StorageLoc=slurm
PidFile=$database_dir/slurmdbd.pid
CONF
}

start_database() {
    local password
    password=$(cat /proc/sys/kernel/random/uuid)
    rm -rf "$database_dir"
    mkdir -p "$database_dir"
    mariadb-install-db --no-defaults --user=root --datadir="$database_dir/data" --skip-test-db >"$database_dir/install.log" 2>&1 ||
        fail "mariadb-install-db failed: $(tail -n 5 "$database_dir/install.log")"
    start_daemon mariadbd mariadbd --no-defaults --user=root --datadir="$database_dir/data" \
        --socket="$database_dir/socket" --bind-address=127.0.0.1 --port="$port" --innodb-lock-wait-timeout=900
    wait_ready mariadbd sql "SELECT 1"
    sql "CREATE DATABASE slurm; CREATE USER slurm@'%' IDENTIFIED BY '$password'; GRANT ALL ON slurm.* TO slurm@'%'"
    (umask 077 && configuration "$password" >"$target.part")
    mv "$target.part" "$target"
}

add_accounts() {
    local user
    user=$(id -un)
    sacctmgr --immediate add cluster calm
    sacctmgr --immediate add account lab,other Cluster=calm
    sacctmgr --immediate add user "$user" Account=lab,other Cluster=calm
    sacctmgr --immediate modify user "$user" set DefaultAccount=lab # of root it is root, from the start
}

start() {
    if ! running slurmdbd; then
        start_database
        bash "$slurm" stop
        ACCOUNTING=slurmdbd bash "$slurm" install
        start_munge
        start_daemon slurmdbd slurmdbd -D
        wait_ready slurmdbd sacctmgr --noheader show cluster
        add_accounts >/dev/null
    fi
    ACCOUNTING=slurmdbd bash "$slurm" start
    say "$(sacctmgr --noheader --parsable2 show associations user="$(id -un)" format=user,account,cluster | paste -s -d ' ')"
}

stop() {
    bash "$slurm" stop
    stop_daemon slurmdbd
    stop_daemon mariadbd
    rm -rf "$database_dir" "$target"
    bash "$slurm" start
}

dispatch "$@"
