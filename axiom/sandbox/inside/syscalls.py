"""System call numbers by name: x86-64 first, aarch64 second, `-` where the architecture has none.

Numbers from the kernel's asm/unistd_64.h and asm-generic/unistd.h. Whatever is in no table fails with EPERM.
"""

AUDIT_ARCH = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}


def _table(text: str) -> dict[str, tuple[int | None, int | None]]:
    rows = (row.split() for row in text.split(";"))
    return {name: (_number(x86), _number(arm)) for name, x86, arm in rows}


def _number(text: str) -> int | None:
    return None if text == "-" else int(text)


ALLOWED = _table("""
    alarm 37 -; brk 12 214; clock_getres 229 114; clock_gettime 228 113; clock_nanosleep 230 115; close 3 57;
    close_range 436 436; dup 32 23; dup2 33 -; dup3 292 24; epoll_create 213 -; epoll_create1 291 20;
    epoll_ctl 233 21; epoll_pwait 281 22; epoll_wait 232 -; exit 60 93; exit_group 231 94; futex 202 98;
    getcwd 79 17; getegid 108 177; geteuid 107 175; getgid 104 176; getgroups 115 158; getitimer 36 102;
    getpgid 121 155; getpgrp 111 -; getpid 39 172; getppid 110 173; getrandom 318 278; getresgid 120 150;
    getresuid 118 148; getrlimit 97 163; getrusage 98 165; getsid 124 156; gettid 186 178; gettimeofday 96 169;
    getuid 102 174; lseek 8 62; madvise 28 233; membarrier 324 283; mincore 27 232; mremap 25 216; msync 26 227;
    munmap 11 215; nanosleep 35 101; pause 34 -; pipe 22 -; pipe2 293 59; poll 7 -; ppoll 271 73; pread64 17 67;
    pselect6 270 72; pwrite64 18 68; read 0 63; readv 19 65; recvfrom 45 207; restart_syscall 219 128; rseq 334 293;
    rt_sigaction 13 134; rt_sigpending 127 136; rt_sigprocmask 14 135; rt_sigreturn 15 139; rt_sigsuspend 130 133;
    rt_sigtimedwait 128 137; sched_getaffinity 204 123; sched_yield 24 124; select 23 -; set_robust_list 273 99;
    set_tid_address 218 96; setitimer 38 103; shutdown 48 210; sigaltstack 131 132; time 201 -; times 100 153;
    write 1 64; writev 20 66
""")
"""Harmless in a process that holds nothing: its own memory, clocks, signals to itself, open descriptors."""

CHECKED = _table("""
    clone 56 220; clone3 435 435; fcntl 72 25; ioctl 16 29; mmap 9 222; mprotect 10 226; open 2 -; openat 257 56;
    prlimit64 302 261; sendto 44 206; socketpair 53 199; tgkill 234 131
""")
"""Allowed for some arguments; `filters` says which."""

TEMPLATE_ONLY = _table("""
    pidfd_open 434 434; pidfd_send_signal 424 424; prctl 157 167; recvmsg 47 212; seccomp 317 277; wait4 61 260;
    waitid 247 95
""")
"""What forking and watching candidates takes; each child gives these up before it reads its candidate."""

FATAL = _table("""
    accept 43 202; accept4 288 242; acct 163 89; add_key 248 217; adjtimex 159 171; bind 49 200; bpf 321 280;
    capset 126 91; chmod 90 -; chown 92 -; chroot 161 51; clock_adjtime 305 266; clock_settime 227 112;
    connect 42 203; creat 85 -; delete_module 176 106; execve 59 221; execveat 322 281; fallocate 285 47;
    fanotify_init 300 262; fchmod 91 52; fchmodat 268 53; fchmodat2 452 452; fchown 93 55; fchownat 260 54;
    finit_module 313 273; fork 57 -; fremovexattr 199 16; fsconfig 431 431; fsetxattr 190 7; fsmount 432 432;
    fsopen 430 430; fspick 433 433; ftruncate 77 46; futimesat 261 -; init_module 175 105; io_setup 206 0;
    io_submit 209 2; io_uring_enter 426 426; io_uring_register 427 427; io_uring_setup 425 425; ioperm 173 -;
    iopl 172 -; kcmp 312 272; kexec_file_load 320 294; kexec_load 246 104; keyctl 250 219; kill 62 129;
    landlock_add_rule 445 445; landlock_create_ruleset 444 444; landlock_restrict_self 446 446; lchown 94 -;
    link 86 -; linkat 265 37; listen 50 201; lookup_dcookie 212 18; lremovexattr 198 15; lsetxattr 189 6;
    memfd_create 319 279; memfd_secret 447 447; migrate_pages 256 238; mkdir 83 -; mkdirat 258 34; mknod 133 -;
    mknodat 259 33; modify_ldt 154 -; mount 165 40; mount_setattr 442 442; move_mount 429 429; move_pages 279 239;
    mq_open 240 180; mq_unlink 241 181; msgctl 71 187; msgget 68 186; msgrcv 70 188; msgsnd 69 189;
    name_to_handle_at 303 -; open_by_handle_at 304 -; open_tree 428 428; openat2 437 437; perf_event_open 298 241;
    personality 135 92; pidfd_getfd 438 438; pivot_root 155 41; process_madvise 440 440; process_vm_readv 310 270;
    process_vm_writev 311 271; ptrace 101 117; quotactl 179 60; reboot 169 142; recvmmsg 299 243; removexattr 197 14;
    rename 82 -; renameat 264 38; renameat2 316 276; request_key 249 218; rmdir 84 -; rt_sigqueueinfo 129 138;
    rt_tgsigqueueinfo 297 240; sched_setaffinity 203 122; sched_setscheduler 144 119; semctl 66 191; semget 64 190;
    semop 65 193; semtimedop 220 192; sendmmsg 307 269; sendmsg 46 211; setdomainname 171 162; setfsgid 123 152;
    setfsuid 122 151; setgid 106 144; setgroups 116 159; sethostname 170 161; setns 308 268; setpgid 109 154;
    setpriority 141 140; setregid 114 143; setresgid 119 149; setresuid 117 147; setreuid 113 145; setrlimit 160 164;
    setsid 112 157; settimeofday 164 170; setuid 105 146; setxattr 188 5; shmat 30 196; shmctl 31 195; shmget 29 194;
    socket 41 198; swapoff 168 225; swapon 167 224; symlink 88 -; symlinkat 266 36; syslog 103 116; tkill 200 130;
    truncate 76 45; umount2 166 39; unlink 87 -; unlinkat 263 35; unshare 272 97; userfaultfd 323 282; utime 132 -;
    utimensat 280 88; utimes 235 -; vfork 58 -; vhangup 153 58
""")
"""No program that computes an answer needs these: the process dies at once and its verdict is `forbidden`."""
