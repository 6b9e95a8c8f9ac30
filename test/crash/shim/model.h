/* The model: what of the directory is synced, and how it is put back. shim.c's calls tell it what happens. */
#define _GNU_SOURCE
#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#define REAL(name) ((__typeof__(&name))real(#name))
#define KNOWN_MAX 64

/* Bytes of the synced image that were overwritten or cut off since. */
typedef struct { off_t at; size_t length; unsigned char *bytes; } Undo;
/* A file of the directory, known by its inode: names change. */
typedef struct { dev_t dev; ino_t ino; int fd; off_t synced; Undo *undo; size_t undos; } File;
enum Change { CREATED, MADE, RENAMED, UNLINKED };
/* A change of names that no directory sync has made durable; `kept` is the file that it took away. */
typedef struct { enum Change change; char from[PATH_MAX], to[PATH_MAX], kept[PATH_MAX]; } Entry;

static char root[PATH_MAX], shadow[PATH_MAX];
static size_t root_length;
static volatile long cut_at;
static long armed, fail_sync, full_after, full_refusals;
static int no_sync, torn;
static unsigned long torn_state;
static long calls, syncs, written, refusals, kept_files;
static File *files;
static size_t file_count;
static Entry *entries;
static size_t entry_count;
/* Calls share it; the cut takes it for itself and never gives it back. */
static pthread_rwlock_t world = PTHREAD_RWLOCK_WRITER_NONRECURSIVE_INITIALIZER_NP;
static pthread_mutex_t book = PTHREAD_MUTEX_INITIALIZER;

static void *real(const char *name) {
  void *found = dlsym(RTLD_NEXT, name);
  if (found == NULL) abort();
  return found;
}

static void die(const char *what, const char *name) {
  dprintf(2, "shim: %s %s: %s\n", what, name, strerror(errno));
  abort();
}

static void *grown(void *items, size_t count, size_t size) {
  void *more = realloc(items, (count + 1) * size);
  if (more == NULL) die("memory", "");
  return more;
}

static long number(const char *name) {
  const char *text = getenv(name);
  return text == NULL ? 0 : atol(text);
}

/* Told by the test: the power goes so many calls from now. */
static void arm(int signal) {
  (void)signal;
  cut_at = calls + armed;
}

__attribute__((constructor)) static void begin(void) {
  const char *dir = getenv("MERIDIAN_SHIM_DIR"), *aside = getenv("MERIDIAN_SHIM_SHADOW");
  if (dir == NULL || aside == NULL) return;
  if (realpath(dir, root) == NULL || realpath(aside, shadow) == NULL) die("directory", dir);
  root_length = strlen(root);
  cut_at = number("MERIDIAN_SHIM_CUT");
  armed = number("MERIDIAN_SHIM_ARMED");
  if (armed > 0) signal(SIGUSR2, arm);
  fail_sync = number("MERIDIAN_SHIM_FAIL_SYNC");
  full_after = number("MERIDIAN_SHIM_FULL");
  full_refusals = number("MERIDIAN_SHIM_FREE_AFTER");
  no_sync = number("MERIDIAN_SHIM_NO_SYNC") != 0;
  torn_state = (unsigned long)number("MERIDIAN_SHIM_TORN");
  torn = torn_state != 0;
}

/* ---- names */

static int below(const char *path) {
  return root_length > 0 && strncmp(path, root, root_length) == 0 && path[root_length] == '/';
}

/* Whole, with its directory's links resolved; false where it is not below the watched directory. */
static int watched(const char *path, char *whole) {
  char copy[PATH_MAX], dir[PATH_MAX];
  if (root_length == 0 || path == NULL || strlen(path) >= sizeof copy) return 0;
  strcpy(copy, path);
  char *slash = strrchr(copy, '/');
  const char *name = slash == NULL ? copy : slash + 1;
  if (slash != NULL) *slash = 0;
  if (realpath(slash == NULL ? "." : slash == copy ? "/" : copy, dir) == NULL) return 0;
  if (snprintf(whole, PATH_MAX, "%s/%s", dir, name) >= PATH_MAX) return 0;
  return below(whole) && strcmp(name, "LOCK") != 0;
}

static int in_directory(const char *path, const char *dir) {
  size_t length = strlen(dir);
  return strncmp(path, dir, length) == 0 && path[length] == '/' && strchr(path + length + 1, '/') == NULL;
}

static Entry *changed(enum Change change, const char *from, const char *to) {
  entries = grown(entries, entry_count, sizeof *entries);
  Entry *entry = &entries[entry_count++];
  memset(entry, 0, sizeof *entry);
  entry->change = change;
  strcpy(entry->from, from);
  strcpy(entry->to, to);
  return entry;
}

/* A file about to lose its name stays reachable until that is durable. */
static void keep(const char *path, char *kept) {
  snprintf(kept, PATH_MAX, "%s/%ld", shadow, ++kept_files);
  if (REAL(link)(path, kept) != 0) die("keep", path);
}

/* ---- contents */

static File *track(int fd, const struct stat *is, off_t synced) {
  char self[KNOWN_MAX];
  snprintf(self, sizeof self, "/proc/self/fd/%d", fd);
  files = grown(files, file_count, sizeof *files);
  File *file = &files[file_count++];
  memset(file, 0, sizeof *file);
  file->dev = is->st_dev;
  file->ino = is->st_ino;
  file->synced = synced;
  file->fd = REAL(open64)(self, O_RDWR | O_CLOEXEC);
  if (file->fd < 0) die("reopen", self);
  return file;
}

static File *known(const struct stat *is) {
  for (size_t i = 0; i < file_count; i++)
    if (files[i].ino == is->st_ino && files[i].dev == is->st_dev) return &files[i];
  return NULL;
}

/* The file behind a descriptor; NULL where it is not below the directory. Holds `book`. */
static File *file_of(int fd, struct stat *is) {
  char self[KNOWN_MAX], path[PATH_MAX];
  if (root_length == 0 || fstat(fd, is) != 0 || !S_ISREG(is->st_mode)) return NULL;
  File *file = known(is);
  if (file != NULL || is->st_nlink == 0) return file;
  snprintf(self, sizeof self, "/proc/self/fd/%d", fd);
  ssize_t length = readlink(self, path, sizeof path - 1);
  if (length < 0) return NULL;
  path[length] = 0;
  return below(path) && strcmp(strrchr(path, '/'), "/LOCK") != 0 ? track(fd, is, is->st_size) : NULL;
}

static void forget(const struct stat *is) {
  File *file = known(is);
  if (file == NULL) return;
  for (size_t i = 0; i < file->undos; i++) free(file->undo[i].bytes);
  free(file->undo);
  close(file->fd);
  *file = files[--file_count];
}

/* The synced image between two offsets is about to change. */
static void save(File *file, off_t from, off_t to) {
  if (to > file->synced) to = file->synced;
  if (from >= to) return;
  Undo undo = {from, (size_t)(to - from), malloc((size_t)(to - from))};
  if (undo.bytes == NULL) die("memory", "");
  ssize_t got = pread(file->fd, undo.bytes, undo.length, from);
  undo.length = got < 0 ? 0 : (size_t)got;
  file->undo = grown(file->undo, file->undos, sizeof undo);
  file->undo[file->undos++] = undo;
}

/* ---- syncs */

static void directory_synced(const char *dir) {
  size_t left = 0;
  for (size_t i = 0; i < entry_count; i++) {
    Entry *entry = &entries[i];
    if (!in_directory(entry->to, dir)) {
      if (left != i) entries[left] = *entry;
      left++;
    } else if (entry->kept[0] != 0) {
      struct stat is;
      if (stat(entry->kept, &is) == 0 && is.st_nlink == 1) forget(&is);
      REAL(unlink)(entry->kept);
    }
  }
  entry_count = left;
}

/* A part of the undo list that grew while the real sync ran stays. */
static void file_synced(int fd, off_t size, size_t undos) {
  struct stat is;
  File *file = file_of(fd, &is);
  if (file == NULL) return;
  file->synced = size;
  if (undos > file->undos) undos = file->undos;
  for (size_t i = 0; i < undos; i++) free(file->undo[i].bytes);
  memmove(file->undo, file->undo + undos, (file->undos - undos) * sizeof *file->undo);
  file->undos -= undos;
}

/* ---- the cut */

static unsigned long drawn(unsigned long bound) {
  torn_state ^= torn_state << 13;
  torn_state ^= torn_state >> 7;
  torn_state ^= torn_state << 17;
  return bound == 0 ? 0 : torn_state % bound;
}

/* How much of `whole` survives: all, nothing or a part. */
static size_t survives(size_t whole) {
  if (!torn) return 0;
  unsigned long luck = drawn(3);
  return luck == 0 ? 0 : luck == 1 ? whole : drawn(whole + 1);
}

static void restore(File *file) {
  struct stat is;
  if (fstat(file->fd, &is) != 0) die("restore", "a file");
  off_t tail = is.st_size > file->synced ? is.st_size - file->synced : 0;
  off_t length = file->synced + (off_t)survives((size_t)tail);
  size_t stay = survives(file->undos);
  for (size_t i = file->undos; i > stay; i--) {
    const Undo *undo = &file->undo[i - 1];
    size_t from = i == stay + 1 ? survives(undo->length) : 0;
    if (REAL(pwrite64)(file->fd, undo->bytes + from, undo->length - from, undo->at + (off_t)from) < 0) die("restore", "bytes");
  }
  if (fstat(file->fd, &is) == 0 && is.st_size > length && REAL(ftruncate64)(file->fd, length) != 0) die("restore", "length");
}

static void undo_names(void) {
  for (size_t stay = survives(entry_count), i = entry_count; i > stay; i--) {
    const Entry *entry = &entries[i - 1];
    int done = 0;
    switch (entry->change) {
      case CREATED: done = REAL(unlink)(entry->to); break;
      case MADE: done = REAL(rmdir)(entry->to); break;
      case RENAMED: done = REAL(rename)(entry->to, entry->from); break;
      case UNLINKED: break;
    }
    if (done == 0 && entry->kept[0] != 0) done = REAL(rename)(entry->kept, entry->to);
    if (done != 0) die("undo", entry->to);
  }
}

static void cut(const char *call) {
  pthread_rwlock_unlock(&world);
  pthread_rwlock_wrlock(&world);
  pthread_mutex_lock(&book);
  for (size_t i = 0; i < file_count; i++) restore(&files[i]);
  undo_names();
  dprintf(2, "shim: power cut before call %ld, %s, after %ld syncs\n", calls, call, syncs);
  kill(getpid(), SIGKILL);
  for (;;) pause();
}

/* Every tracked call begins here and ends with leave(). */
static void enter(const char *call) {
  pthread_rwlock_rdlock(&world);
  long now = __sync_add_and_fetch(&calls, 1);
  if (cut_at > 0 && now >= cut_at) cut(call);
}
static void leave(void) {
  pthread_rwlock_unlock(&world);
}

/* Bytes of this write that the disk still takes. */
static size_t room(size_t wanted) {
  long now = __sync_add_and_fetch(&written, (long)wanted);
  if (full_after == 0 || now <= full_after) return wanted;
  if (__sync_add_and_fetch(&refusals, 1) > full_refusals && full_refusals > 0) return wanted;
  long over = now - full_after;
  return (long)wanted > over ? wanted - (size_t)over : 0;
}
