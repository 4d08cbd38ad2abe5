/* A plug-in of QEMU's user mode that counts the instructions of the emulated program. The count lies
   in a file, `count=FILE`, as a 64-bit number in the machine's byte order, and can be read at any
   time.

   The interface is that of qemu-plugin.h, which Debian does not package: only what is used. */
#include <fcntl.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

typedef uint64_t qemu_plugin_id_t;
struct qemu_plugin_tb;
extern void qemu_plugin_register_vcpu_tb_trans_cb(
    qemu_plugin_id_t id, void (*callback)(qemu_plugin_id_t id, struct qemu_plugin_tb *tb));
extern void qemu_plugin_register_vcpu_tb_exec_cb(
    struct qemu_plugin_tb *tb, void (*callback)(unsigned int vcpu, void *data), int flags,
    void *data);
extern size_t qemu_plugin_tb_n_insns(const struct qemu_plugin_tb *tb);

__attribute__((visibility("default"))) int qemu_plugin_version = 1;

static uint64_t *instructions;

static void executed(unsigned int vcpu, void *data)
{
    (void)vcpu;
    __atomic_fetch_add(instructions, (uint64_t)(uintptr_t)data, __ATOMIC_RELAXED);
}

static void translated(qemu_plugin_id_t id, struct qemu_plugin_tb *tb)
{
    (void)id;
    qemu_plugin_register_vcpu_tb_exec_cb(tb, executed, 0,
                                         (void *)(uintptr_t)qemu_plugin_tb_n_insns(tb));
}

__attribute__((visibility("default"))) int qemu_plugin_install(qemu_plugin_id_t id,
                                                               const void *info, int count,
                                                               char **arguments)
{
    static const char option[] = "count=";
    (void)info;
    if (count != 1 || strncmp(arguments[0], option, sizeof option - 1) != 0)
        return -1;
    int file = open(arguments[0] + sizeof option - 1, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (file < 0 || ftruncate(file, sizeof *instructions) != 0)
        return -1;
    instructions = mmap(NULL, sizeof *instructions, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    close(file);
    if (instructions == MAP_FAILED)
        return -1;
    qemu_plugin_register_vcpu_tb_trans_cb(id, translated);
    return 0;
}
