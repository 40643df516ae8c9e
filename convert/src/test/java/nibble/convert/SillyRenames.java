package nibble.convert;

import java.io.IOException;
import java.lang.reflect.InvocationTargetException;
import java.lang.reflect.Proxy;
import java.net.URI;
import java.nio.channels.FileChannel;
import java.nio.channels.SeekableByteChannel;
import java.nio.file.AccessMode;
import java.nio.file.CopyOption;
import java.nio.file.DirectoryStream;
import java.nio.file.FileStore;
import java.nio.file.FileSystem;
import java.nio.file.FileSystems;
import java.nio.file.Files;
import java.nio.file.LinkOption;
import java.nio.file.OpenOption;
import java.nio.file.Path;
import java.nio.file.PathMatcher;
import java.nio.file.WatchService;
import java.nio.file.attribute.BasicFileAttributes;
import java.nio.file.attribute.FileAttribute;
import java.nio.file.attribute.FileAttributeView;
import java.nio.file.attribute.UserPrincipalLookupService;
import java.nio.file.spi.FileSystemProvider;
import java.util.Iterator;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.concurrent.ConcurrentHashMap;
import java.util.stream.StreamSupport;

/**
 * Behaves as an NFS client, with files on this machine: a file that is deleted while it is open stays in its folder
 * under another name, which goes when the file is closed.
 */
public final class SillyRenames extends FileSystemProvider {
    private static final FileSystemProvider REAL = FileSystems.getDefault().provider();

    private final Map<FileChannel, Path> opened = new ConcurrentHashMap<>();
    private final FileSystem files = new Silly();
    private int deletedWhileOpen;

    /** Returns a folder's path in such a file system. */
    public Path of(Path folder) {
        return wrapped(folder);
    }

    /** Returns how many files were deleted while they were open. */
    public int deletedWhileOpen() {
        return deletedWhileOpen;
    }

    /** Hands everything to a real path, and hands paths on that do the same. */
    private Path wrapped(Path path) {
        return (Path) Proxy.newProxyInstance(
                SillyRenames.class.getClassLoader(),
                new Class<?>[] {Path.class, Wrapped.class},
                (proxy, method, given) -> {
                    Object[] arguments = given == null ? new Object[0] : given.clone();
                    for (int i = 0; i < arguments.length; i++) {
                        arguments[i] = arguments[i] instanceof Wrapped other ? other.real() : arguments[i];
                    }
                    return switch (method.getName()) {
                        case "real" -> path;
                        case "getFileSystem" -> files;
                        case "toFile" -> throw new UnsupportedOperationException();
                        case "iterator" -> each(path);
                        default -> {
                            try {
                                Object found = method.invoke(path, arguments);
                                yield found instanceof Path other ? wrapped(other) : found;
                            } catch (InvocationTargetException e) {
                                throw e.getCause();
                            }
                        }
                    };
                });
    }

    /** Knows its real path. */
    private interface Wrapped {
        Path real();
    }

    private Iterator<Path> each(Path path) {
        return StreamSupport.stream(path.spliterator(), false)
                .map(this::wrapped)
                .iterator();
    }

    private static Path real(Path path) {
        return ((Wrapped) path).real();
    }

    /** Lets go of what was closed meanwhile. */
    private synchronized void settle() throws IOException {
        for (Map.Entry<FileChannel, Path> entry : opened.entrySet()) {
            if (!entry.getKey().isOpen()) {
                opened.remove(entry.getKey());
                if (entry.getValue().getFileName().toString().startsWith(".nfs")
                        && !opened.containsValue(entry.getValue())) {
                    REAL.delete(entry.getValue());
                }
            }
        }
    }

    @Override
    public synchronized void delete(Path path) throws IOException {
        settle();
        Path gone = real(path);
        if (!opened.containsValue(gone)) {
            REAL.delete(gone);
            return;
        }
        Path kept = gone.resolveSibling(".nfs" + deletedWhileOpen++);
        REAL.move(gone, kept);
        opened.replaceAll((_, at) -> at.equals(gone) ? kept : at);
    }

    @Override
    public synchronized FileChannel newFileChannel(
            Path path, Set<? extends OpenOption> options, FileAttribute<?>... attributes) throws IOException {
        FileChannel channel = REAL.newFileChannel(real(path), options, attributes);
        opened.put(channel, real(path));
        return channel;
    }

    @Override
    public SeekableByteChannel newByteChannel(
            Path path, Set<? extends OpenOption> options, FileAttribute<?>... attributes) throws IOException {
        return newFileChannel(path, options, attributes);
    }

    @Override
    public DirectoryStream<Path> newDirectoryStream(Path folder, DirectoryStream.Filter<? super Path> filter)
            throws IOException {
        settle();
        List<Path> entries;
        try (var found = Files.list(real(folder))) {
            entries = found.map(this::wrapped).toList();
        }
        return new DirectoryStream<>() {
            @Override
            public Iterator<Path> iterator() {
                return entries.iterator();
            }

            @Override
            public void close() {}
        };
    }

    @Override
    public synchronized void move(Path from, Path to, CopyOption... options) throws IOException {
        REAL.move(real(from), real(to), options);
        opened.replaceAll((_, at) ->
                at.startsWith(real(from)) ? real(to).resolve(real(from).relativize(at)) : at);
    }

    @Override
    public String getScheme() {
        return "silly";
    }

    @Override
    public FileSystem newFileSystem(URI uri, Map<String, ?> settings) {
        throw new UnsupportedOperationException();
    }

    @Override
    public FileSystem getFileSystem(URI uri) {
        return files;
    }

    @Override
    public Path getPath(URI uri) {
        return wrapped(Path.of(uri));
    }

    @Override
    public void createDirectory(Path folder, FileAttribute<?>... attributes) throws IOException {
        REAL.createDirectory(real(folder), attributes);
    }

    @Override
    public void copy(Path from, Path to, CopyOption... options) throws IOException {
        REAL.copy(real(from), real(to), options);
    }

    @Override
    public boolean isSameFile(Path one, Path other) throws IOException {
        return REAL.isSameFile(real(one), real(other));
    }

    @Override
    public boolean isHidden(Path path) throws IOException {
        return REAL.isHidden(real(path));
    }

    @Override
    public FileStore getFileStore(Path path) throws IOException {
        return REAL.getFileStore(real(path));
    }

    @Override
    public void checkAccess(Path path, AccessMode... modes) throws IOException {
        REAL.checkAccess(real(path), modes);
    }

    @Override
    public <V extends FileAttributeView> V getFileAttributeView(Path path, Class<V> type, LinkOption... options) {
        return REAL.getFileAttributeView(real(path), type, options);
    }

    @Override
    public <A extends BasicFileAttributes> A readAttributes(Path path, Class<A> type, LinkOption... options)
            throws IOException {
        return REAL.readAttributes(real(path), type, options);
    }

    @Override
    public Map<String, Object> readAttributes(Path path, String names, LinkOption... options) throws IOException {
        return REAL.readAttributes(real(path), names, options);
    }

    @Override
    public void setAttribute(Path path, String name, Object value, LinkOption... options) throws IOException {
        REAL.setAttribute(real(path), name, value, options);
    }

    private final class Silly extends FileSystem {
        private final FileSystem real = FileSystems.getDefault();

        @Override
        public FileSystemProvider provider() {
            return SillyRenames.this;
        }

        @Override
        public void close() {}

        @Override
        public boolean isOpen() {
            return true;
        }

        @Override
        public boolean isReadOnly() {
            return false;
        }

        @Override
        public String getSeparator() {
            return real.getSeparator();
        }

        @Override
        public Iterable<Path> getRootDirectories() {
            return List.of();
        }

        @Override
        public Iterable<FileStore> getFileStores() {
            return real.getFileStores();
        }

        @Override
        public Set<String> supportedFileAttributeViews() {
            return real.supportedFileAttributeViews();
        }

        @Override
        public Path getPath(String first, String... more) {
            return wrapped(real.getPath(first, more));
        }

        @Override
        public PathMatcher getPathMatcher(String pattern) {
            return real.getPathMatcher(pattern);
        }

        @Override
        public UserPrincipalLookupService getUserPrincipalLookupService() {
            return real.getUserPrincipalLookupService();
        }

        @Override
        public WatchService newWatchService() throws IOException {
            return real.newWatchService();
        }
    }
}
