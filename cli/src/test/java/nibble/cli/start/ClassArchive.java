package nibble.cli.start;

import java.io.File;
import java.io.IOException;
import java.io.OutputStream;
import java.io.UncheckedIOException;
import java.nio.channels.FileChannel;
import java.nio.channels.FileLock;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.nio.file.StandardOpenOption;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.TimeUnit;
import java.util.stream.Stream;
import java.util.zip.Deflater;
import java.util.zip.ZipEntry;
import java.util.zip.ZipOutputStream;
import nibble.files.digest.Sha256;

/**
 * The class path of the tests for the commands that they start: its folders as jars, as a user's are, and an archive of
 * the classes that commands load. A command then takes about a second of CPU time less to start. Both are made once for
 * all JVMs of tests, and again when a class changes.
 */
public final class ClassArchive {
    private static final Path HOME = Path.of(System.getProperty("nibble.root"), "cli", "target", "class-archive");
    private static final String ARCHIVE = "commands.jsa";
    private static final List<String> OPTIONS = make();

    private ClassArchive() {}

    /** Returns the options of Java for the class path of this test and the archive. */
    public static List<String> options() {
        return OPTIONS;
    }

    private static List<String> make() {
        List<Path> entries = Stream.of(
                        System.getProperty("surefire.test.class.path", System.getProperty("java.class.path"))
                                .split(File.pathSeparator))
                .map(Path::of)
                .filter(Files::exists)
                .toList();
        try {
            Path made = Files.createDirectories(HOME).resolve(state(entries));
            try (FileChannel lock = FileChannel.open(
                            HOME.resolve("lock"), StandardOpenOption.CREATE, StandardOpenOption.WRITE);
                    FileLock _ = lock.lock()) {
                List<String> options = options(made, entries);
                if (!Files.exists(made)) {
                    removeOthers();
                    Path unfinished = Files.createTempDirectory(HOME, "unfinished-");
                    writeJars(unfinished, entries);
                    Files.move(unfinished, made);
                    archive(made, options);
                }
                return Files.exists(made.resolve(ARCHIVE)) ? options : options.subList(0, 2);
            }
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }

    /** Returns a name for the state of all files on the class path. */
    private static String state(List<Path> entries) throws IOException {
        StringBuilder files = new StringBuilder(System.getProperty("java.home"));
        for (Path entry : entries) {
            try (Stream<Path> below = Files.walk(entry)) {
                for (Path file : below.filter(Files::isRegularFile).sorted().toList()) {
                    files.append('\n').append(file).append(' ').append(Files.size(file));
                    files.append(' ').append(Files.getLastModifiedTime(file));
                }
            }
        }
        return new Sha256().add(files.toString()).hex().substring(0, 16);
    }

    /** Removes what no other run of tests of this folder can still be using. */
    private static void removeOthers() throws IOException {
        long yesterday = System.currentTimeMillis() - TimeUnit.DAYS.toMillis(1);
        try (Stream<Path> others = Files.list(HOME)) {
            for (Path other : others.filter(Files::isDirectory).toList()) {
                if (Files.getLastModifiedTime(other).toMillis() < yesterday) {
                    try (Stream<Path> files = Files.list(other)) {
                        for (Path file : files.toList()) {
                            Files.delete(file);
                        }
                    }
                    Files.delete(other);
                }
            }
        }
    }

    private static List<String> options(Path made, List<Path> entries) {
        List<String> jars = new ArrayList<>();
        for (Path entry : entries) {
            jars.add((Files.isDirectory(entry) ? made.resolve(jars.size() + ".jar") : entry).toString());
        }
        return List.of(
                "-cp",
                String.join(File.pathSeparator, jars),
                "-XX:SharedArchiveFile=" + made.resolve(ARCHIVE),
                // Java says where it cannot use all of an archive, and goes on without.
                "-Xlog:disable",
                "-Xlog:all=warning,cds*=off,aot*=off:stderr");
    }

    private static void writeJars(Path folder, List<Path> entries) throws IOException {
        for (int i = 0; i < entries.size(); i++) {
            if (Files.isDirectory(entries.get(i))) {
                writeJar(entries.get(i), folder.resolve(i + ".jar"));
            }
        }
    }

    private static void writeJar(Path classes, Path jar) throws IOException {
        try (OutputStream file = Files.newOutputStream(jar);
                ZipOutputStream out = new ZipOutputStream(file);
                Stream<Path> below = Files.walk(classes)) {
            out.setLevel(Deflater.NO_COMPRESSION);
            for (Path path : below.filter(Files::isRegularFile).sorted().toList()) {
                out.putNextEntry(
                        new ZipEntry(classes.relativize(path).toString().replace(File.separatorChar, '/')));
                Files.copy(path, out);
                out.closeEntry();
            }
        }
    }

    /** Runs {@link SampleCommands}, whose classes Java archives at its end. */
    private static void archive(Path made, List<String> options) throws IOException {
        Path unfinished = made.resolve("unfinished.jsa");
        List<String> command = new ArrayList<>(
                List.of(Path.of(System.getProperty("java.home"), "bin", "java").toString()));
        command.addAll(options.subList(0, 2));
        command.addAll(List.of("--add-modules=jdk.incubator.vector", "--enable-native-access=ALL-UNNAMED"));
        command.addAll(List.of(
                "-Xmx512m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-XX:ArchiveClassesAtExit=" + unfinished));
        command.addAll(List.of("-Dnibble.root=" + System.getProperty("nibble.root"), SampleCommands.class.getName()));
        Path log = made.resolve("log");
        Process process = new ProcessBuilder(command)
                .redirectErrorStream(true)
                .redirectOutput(log.toFile())
                .start();
        if (process.onExit().join().exitValue() != 0) {
            throw new IOException("the archive of classes was not made:\n" + Files.readString(log));
        }
        if (Files.exists(unfinished)) {
            Files.move(unfinished, made.resolve(ARCHIVE), StandardCopyOption.ATOMIC_MOVE);
        }
    }
}
