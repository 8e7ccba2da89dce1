/* A malloc that aligns every block to 64 bytes, for LD_PRELOAD into party processes.
 *
 * SPU's ring-32 matrix product packs into blocks that it takes to be 32-byte aligned (AVX), while
 * glibc promises 16. Blocks come from glibc's own memalign, so glibc's free takes them back; the
 * aligned_alloc family is left to glibc, which gives what its caller asks for.
 */
#include <errno.h>
#include <malloc.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

enum { ALIGNMENT = 64 };

void *malloc(size_t size) { return memalign(ALIGNMENT, size); }

void *calloc(size_t count, size_t size) {
    size_t total;
    if (__builtin_mul_overflow(count, size, &total)) {
        errno = ENOMEM;
        return NULL;
    }
    void *block = memalign(ALIGNMENT, total);
    return block ? memset(block, 0, total) : NULL;
}

void *realloc(void *old, size_t size) {
    if (old == NULL) {
        return memalign(ALIGNMENT, size);
    }
    size_t held = malloc_usable_size(old);
    if (size <= held && size >= held / 2 && (uintptr_t)old % ALIGNMENT == 0) {
        return old;
    }
    void *block = memalign(ALIGNMENT, size);
    if (block != NULL) {
        memcpy(block, old, size < held ? size : held);
        free(old);
    }
    return block;
}
