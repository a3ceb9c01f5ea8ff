#!/usr/bin/env bash
# Slurm 22.05 from Debian 12 with this machine as its only node and without accounting, as many small clusters run it.
# slurm-accounting.sh beside it calls this with ACCOUNTING=slurmdbd.
# shellcheck source-path=SCRIPTDIR
. "$(dirname "$0")/common.sh"

readonly accounting=${ACCOUNTING:-none}
readonly slurm_dir=$state_dir/slurm
readonly marker="# Written by the provisioning script of the calm tests."

accounting_settings=
if [ "$accounting" = slurmdbd ]; then
    # No job runs for someone without an account, as on clusters that charge for time.
    accounting_settings="AccountingStorageHost=127.0.0.1
AccountingStorageEnforce=associations"
fi
readonly accounting_settings

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
AccountingStorageType=accounting_storage/$accounting
JobAcctGatherType=jobacct_gather/none
$accounting_settings
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
    start_munge
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

stop() {
    stop_daemon slurmd
    stop_daemon slurmctld
    stop_daemon munged
}

dispatch "$@"
