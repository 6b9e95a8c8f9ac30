/*
 * A disk that loses power, for one process (Linux, LD_PRELOAD). It knows what of the files below one directory has been
 * synced, and when the power goes it puts the directory back to that and kills the process (S1, S2, C6).
 *
 *   MERIDIAN_SHIM_DIR        absolute directory that is watched
 *   MERIDIAN_SHIM_SHADOW     empty directory on the same file system, outside of it
 *   MERIDIAN_SHIM_CUT        the power goes before this tracked call, counted from 1
 *   MERIDIAN_SHIM_ARMED      after a SIGUSR2 the power goes before so many calls more
 *   MERIDIAN_SHIM_TORN       a seed: of what was not synced a random part survives; else nothing does
 *   MERIDIAN_SHIM_NO_SYNC    syncs succeed and do nothing: the control experiment
 *   MERIDIAN_SHIM_FAIL_SYNC  this sync fails with EIO, counted from 1
 *   MERIDIAN_SHIM_FULL       after so many bytes the disk is full (ENOSPC),
 *   MERIDIAN_SHIM_FREE_AFTER until it has refused so many writes; 0: for good
 *
 * Creating a file called power-cut below the directory cuts at once. What stood there when the process began counts as
 * synced. A name is durable by a sync of its directory only, as POSIX has it. A way to write that the model does not
 * know ends the process with its name rather than go unseen.
 */
#include "model.h"

/* ---- writes */

static int about_to_write(int fd, off_t at, size_t length) {
  struct stat is;
  pthread_mutex_lock(&book);
  File *file = file_of(fd, &is);
  if (file != NULL) {
    if (at < 0) at = (fcntl(fd, F_GETFL) & O_APPEND) != 0 ? is.st_size : lseek(fd, 0, SEEK_CUR);
    save(file, at, at + (off_t)length);
  }
  pthread_mutex_unlock(&book);
  return file != NULL;
}

static size_t total(const struct iovec *parts, int count) {
  size_t sum = 0;
  for (int i = 0; i < count; i++) sum += parts[i].iov_len;
  return sum;
}

/* `call` is the real one, with `length` as its last word on how much. */
#define WRITE(name, at, wanted, part, call)            \
  do {                                                 \
    if (!about_to_write(fd, at, wanted)) {             \
      size_t part = wanted;                            \
      (void)part;                                      \
      return call;                                     \
    }                                                  \
    enter(name);                                       \
    size_t part = room(wanted);                        \
    ssize_t done = -1;                                 \
    if (part == 0 && (wanted) > 0) errno = ENOSPC;     \
    else done = call;                                  \
    int failure = errno;                               \
    leave();                                           \
    errno = failure;                                   \
    return done;                                       \
  } while (0)

ssize_t write(int fd, const void *from, size_t length) {
  WRITE("write", -1, length, part, REAL(write)(fd, from, part));
}
ssize_t pwrite64(int fd, const void *from, size_t length, off64_t at) {
  WRITE("pwrite", at, length, part, REAL(pwrite64)(fd, from, part, at));
}
ssize_t writev(int fd, const struct iovec *parts, int count) {
  WRITE("writev", -1, total(parts, count), part, REAL(writev)(fd, parts, count));
}
ssize_t pwritev64(int fd, const struct iovec *parts, int count, off64_t at) {
  WRITE("pwritev", at, total(parts, count), part, REAL(pwritev64)(fd, parts, count, at));
}

#undef fwrite_unlocked /* a macro where the compiler optimizes */
/* LevelDB appends through stdio: what it has not flushed is not in the file yet, and a sync measures the file. */
size_t fwrite_unlocked(const void *from, size_t size, size_t count, FILE *stream) {
  if (!about_to_write(fileno(stream), LONG_MAX / 2, 0)) return REAL(fwrite_unlocked)(from, size, count, stream);
  enter("fwrite");
  size_t part = room(size * count);
  size_t done = part == 0 ? 0 : REAL(fwrite_unlocked)(from, 1, part, stream);
  if (part < size * count) REAL(fflush_unlocked)(stream);
  int failure = part < size * count ? ENOSPC : errno;
  leave();
  errno = failure;
  return done == size * count ? count : done / size;
}
int fflush_unlocked(FILE *stream) {
  if (stream == NULL || !about_to_write(fileno(stream), LONG_MAX / 2, 0)) return REAL(fflush_unlocked)(stream);
  enter("fflush");
  int done = REAL(fflush_unlocked)(stream);
  int failure = errno;
  leave();
  errno = failure;
  return done;
}
int ftruncate64(int fd, off64_t length) {
  if (!about_to_write(fd, length, LONG_MAX / 2)) return REAL(ftruncate64)(fd, length);
  enter("ftruncate");
  int done = REAL(ftruncate64)(fd, length);
  leave();
  return done;
}

/* ---- syncs */

static int synced(int fd, const char *name, int (*sync)(int)) {
  struct stat is;
  char self[KNOWN_MAX], path[PATH_MAX] = "";
  pthread_mutex_lock(&book);
  File *file = file_of(fd, &is);
  size_t undos = file == NULL ? 0 : file->undos;
  pthread_mutex_unlock(&book);
  snprintf(self, sizeof self, "/proc/self/fd/%d", fd);
  int directory = file == NULL && root_length > 0 && fstat(fd, &is) == 0 && S_ISDIR(is.st_mode) &&
                  readlink(self, path, sizeof path - 1) > 0 && (below(path) || strcmp(path, root) == 0);
  if (file == NULL && !directory) return sync(fd);
  enter(name);
  int done = 0;
  if (__sync_add_and_fetch(&syncs, 1) == fail_sync) {
    errno = EIO;
    done = -1;
  } else if (!no_sync) done = sync(fd);
  int failure = errno;
  if (done == 0 && !no_sync) {
    pthread_mutex_lock(&book);
    if (directory) directory_synced(path);
    else file_synced(fd, is.st_size, undos);
    pthread_mutex_unlock(&book);
  }
  leave();
  errno = failure;
  return done;
}
int fsync(int fd) { return synced(fd, "fsync", REAL(fsync)); }
int fdatasync(int fd) { return synced(fd, "fdatasync", REAL(fdatasync)); }

/* ---- names */

static int is_power_cut(const char *path) {
  return strcmp(strrchr(path, '/'), "/power-cut") == 0;
}

/* What a truncating open takes away. */
static void about_to_empty(const char *path) {
  struct stat is;
  int fd = REAL(open64)(path, O_RDWR | O_CLOEXEC);
  if (fd < 0) return;
  pthread_mutex_lock(&book);
  File *file = file_of(fd, &is);
  if (file != NULL) save(file, 0, file->synced);
  pthread_mutex_unlock(&book);
  close(fd);
}

static void created(const char *path, int fd) {
  struct stat is;
  if (fd < 0 || fstat(fd, &is) != 0) return;
  pthread_mutex_lock(&book);
  changed(CREATED, "", path);
  track(fd, &is, 0);
  pthread_mutex_unlock(&book);
}

/* @returns whether the name was there. */
static int about_to_open(const char *path, int empties) {
  struct stat is;
  enter("open");
  if (is_power_cut(path)) cut("power-cut");
  int there = lstat(path, &is) == 0;
  if (there && empties) about_to_empty(path);
  return there;
}

static int opened(const char *path, int flags, mode_t mode) {
  char whole[PATH_MAX];
  if ((flags & (O_CREAT | O_TRUNC)) == 0 || !watched(path, whole)) return REAL(open64)(path, flags, mode);
  int there = about_to_open(whole, (flags & O_TRUNC) != 0);
  int fd = REAL(open64)(path, flags, mode);
  int failure = errno;
  if (!there) created(whole, fd);
  leave();
  errno = failure;
  return fd;
}

static mode_t mode_in(int flags, va_list list) {
  return (flags & O_CREAT) != 0 ? va_arg(list, mode_t) : 0;
}
int open64(const char *path, int flags, ...) {
  va_list list;
  va_start(list, flags);
  mode_t mode = mode_in(flags, list);
  va_end(list);
  return opened(path, flags, mode);
}
int open(const char *path, int flags, ...) {
  va_list list;
  va_start(list, flags);
  mode_t mode = mode_in(flags, list);
  va_end(list);
  return opened(path, flags, mode);
}

FILE *fopen64(const char *path, const char *mode) {
  char whole[PATH_MAX];
  if (mode[0] == 'r' || !watched(path, whole)) return REAL(fopen64)(path, mode);
  int there = about_to_open(whole, mode[0] == 'w');
  FILE *stream = REAL(fopen64)(path, mode);
  int failure = errno;
  if (!there && stream != NULL) created(whole, fileno(stream));
  leave();
  errno = failure;
  return stream;
}

/* An entry stays only where the real call succeeded. */
static int renamed(enum Change change, const char *from, const char *to, int replaces, int (*act)(const char *, const char *)) {
  pthread_mutex_lock(&book);
  Entry *entry = changed(change, from, to);
  if (replaces) keep(to, entry->kept);
  int done = act(from, to);
  int failure = errno;
  if (done != 0) {
    if (replaces) REAL(unlink)(entry->kept);
    entry_count -= 1;
  }
  pthread_mutex_unlock(&book);
  errno = failure;
  return done;
}

static int real_unlink(const char *from, const char *to) {
  (void)from;
  return REAL(unlink)(to);
}

int rename(const char *from, const char *to) {
  char old[PATH_MAX], new[PATH_MAX];
  struct stat is;
  int out = watched(from, old), in = watched(to, new);
  if (!out && !in) return REAL(rename)(from, to);
  if (!out || !in) die("rename across the watched directory", from);
  enter("rename");
  int done = renamed(RENAMED, old, new, lstat(new, &is) == 0, REAL(rename));
  int failure = errno;
  leave();
  errno = failure;
  return done;
}

int unlink(const char *path) {
  char whole[PATH_MAX];
  struct stat is;
  if (!watched(path, whole) || lstat(whole, &is) != 0) return REAL(unlink)(path);
  enter("unlink");
  int done = renamed(UNLINKED, "", whole, 1, real_unlink);
  int failure = errno;
  leave();
  errno = failure;
  return done;
}

int mkdir(const char *path, mode_t mode) {
  char whole[PATH_MAX];
  int inside = watched(path, whole);
  if (inside) enter("mkdir");
  int done = REAL(mkdir)(path, mode);
  int failure = errno;
  if (inside && done == 0) {
    pthread_mutex_lock(&book);
    changed(MADE, "", whole);
    pthread_mutex_unlock(&book);
  }
  if (inside) leave();
  errno = failure;
  return done;
}

/* ---- what the model does not know */

int rmdir(const char *path) {
  char whole[PATH_MAX];
  if (watched(path, whole)) die("not modelled: rmdir", path);
  return REAL(rmdir)(path);
}
int link(const char *from, const char *to) {
  char whole[PATH_MAX];
  if (watched(to, whole)) die("not modelled: link", to);
  return REAL(link)(from, to);
}
void *mmap64(void *at, size_t length, int protection, int flags, int fd, off64_t offset) {
  if (fd >= 0 && (protection & PROT_WRITE) != 0 && (flags & MAP_SHARED) != 0 && about_to_write(fd, offset, 0))
    die("not modelled:", "a mapping that writes");
  return REAL(mmap64)(at, length, protection, flags, fd, offset);
}
ssize_t sendfile64(int to, int from, off64_t *offset, size_t count) {
  if (about_to_write(to, -1, 0)) die("not modelled:", "sendfile");
  return REAL(sendfile64)(to, from, offset, count);
}
