#!/usr/bin/env bash
# Slurm 22.05 from Debian 12 with this machine as its only node and without accounting, as many small clusters run it.
# shellcheck source-path=SCRIPTDIR
. "$(dirname "$0")/common.sh"

readonly slurm_dir=$state_dir/slurm
readonly marker="# Written by the provisioning script of the calm tests."

# hardware NAME: a value that slurmd finds on this machine, for example CPUs or RealMemory (MiB).
hardware() {
    slurmd -C | tr ' ' '\n' | awk -F= -v name="$1" '$1 == name { print $2 }'
}

configuration() {
    local host
    host=$(hostname -s)
    cat <<CONF
$marker
ClusterName=calm
SlurmctldHost=$host(127.0.0.1)
SlurmUser=root
AuthType=auth/munge
CryptoType=crypto/munge
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
AccountingStorageType=accounting_storage/none
JobAcctGatherType=jobacct_gather/none
# A finished job stays visible to squeue and scontrol for this long (s); Snakemake's Slurm plugin asks for it.
MinJobAge=300
ReturnToService=2
MpiDefault=none
SwitchType=switch/none
StateSaveLocation=$slurm_dir/controller
SlurmdSpoolDir=$slurm_dir/node
SlurmctldPidFile=$slurm_dir/slurmctld.pid
SlurmdPidFile=$slurm_dir/slurmd.pid
NodeName=localhost NodeHostname=$host NodeAddr=127.0.0.1 CPUs=$(hardware CPUs) RealMemory=$(($(hardware RealMemory) * 9 / 10)) State=UNKNOWN
PartitionName=main Nodes=localhost Default=YES MaxTime=INFINITE State=UP
CONF
}

install() {
    local target=/etc/slurm/slurm.conf
    apt_install slurmctld slurmd slurm-client munge
    if [ -f "$target" ] && ! grep -qxF "$marker" "$target"; then
        fail "$target exists and was not written by this script; this machine already belongs to a cluster"
    fi
    configuration >"$target.part"
    mv "$target.part" "$target"
}

node_is_up() {
    [[ $(sinfo --noheader --format=%t) =~ ^(idle|mix|alloc)$ ]]
}

start() {
    mkdir -p "$slurm_dir/controller" "$slurm_dir/node"
    if ! munge --no-input >/dev/null 2>&1; then
        install_munge_folder
        start_daemon munged setpriv --reuid=munge --regid=munge --init-groups munged --foreground
        wait_ready munged munge --no-input
    fi
    if ! scontrol ping >/dev/null 2>&1; then
        start_daemon slurmctld slurmctld -D
        wait_ready slurmctld scontrol ping
    fi
    if ! node_is_up; then
        start_daemon slurmd slurmd -D -N localhost
        wait_ready slurmd node_is_up
    fi
    say "$(sinfo --version), $(sinfo --noheader --format='node %N: %T, %c CPUs, %m MiB')"
}

# /run is empty after a restart and there may be no systemd to make munge's folder in it.
install_munge_folder() {
    command install --directory --owner=munge --group=munge --mode=0755 /run/munge
}

stop() {
    stop_daemon slurmd
    stop_daemon slurmctld
    stop_daemon munged
}

dispatch "$@"
