package nibble.engine.cuda.driver;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.stream.Stream;

/**
 * Loads JCuda's native library. JCuda itself writes it to a file of a known name in the folder for temporary files, and
 * loads that file if it is there already: written halfway by another process, or by another user. So it gets a fresh
 * folder, which only this user can enter.
 */
final class JCudaLibrary {
    private static final String PROPERTY = "java.io.tmpdir";
    private static boolean loaded;

    private JCudaLibrary() {}

    /**
     * Loads the library unless that was done.
     *
     * @throws LinkageError if it cannot be loaded
     */
    static synchronized void load() {
        if (!loaded) {
            load("jcuda.driver.JCudaDriver");
            loaded = true;
        }
    }

    /** Initializes a class that writes a library to the folder for temporary files and loads it. */
    static void load(String name) {
        String usual = System.getProperty(PROPERTY);
        try {
            Path folder = Files.createTempDirectory("nibble-jcuda-");
            System.setProperty(PROPERTY, folder.toString());
            try {
                Class.forName(name);
            } finally {
                System.setProperty(PROPERTY, usual);
                delete(folder);
            }
        } catch (IOException | ClassNotFoundException e) {
            throw new UnsatisfiedLinkError(String.valueOf(e));
        }
    }

    /** Deletes the folder; Linux keeps a loaded library without its file. */
    private static void delete(Path folder) throws IOException {
        List<Path> files;
        try (Stream<Path> found = Files.list(folder)) {
            files = found.toList();
        }
        for (Path file : files) {
            Files.delete(file);
        }
        Files.delete(folder);
    }
}
