package nibble.engine.host.natives;

import java.io.IOException;
import java.io.InputStream;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.SymbolLookup;
import java.lang.foreign.ValueLayout;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.util.Arrays;
import java.util.Locale;
import nibble.files.Reasons;
import nibble.files.digest.Sha256;
import org.jspecify.annotations.Nullable;

/**
 * The platform's library, loaded once for the life of the process: from a temporary file that is deleted at once, or,
 * where the system runs no code from there or keeps loaded files, from {@code $NIBBLE_CACHE}, else
 * {@code ~/.cache/nibble}.
 */
final class NativeLibrary {
    /** Switches the library off. */
    static final String VARIABLE = "NIBBLE_NATIVE";

    static final String PROPERTY = "nibble.native";

    /** The number of what the library's functions take, as in library.c. */
    static final long INTERFACE = 10;

    /** The library, or why there is none. */
    record Loaded(@Nullable SymbolLookup symbols, String reason) {}

    private static final boolean WINDOWS = system().equals("windows");

    private NativeLibrary() {}

    static Loaded load() {
        if ("off".equals(System.getProperty(PROPERTY)) || "off".equals(System.getenv(VARIABLE))) {
            return missing("switched off");
        }
        byte[] library;
        try (InputStream in = NativeLibrary.class.getResourceAsStream(resource(system(), processor()))) {
            if (in == null) {
                return missing("none for " + system() + " on " + processor());
            }
            library = in.readAllBytes();
        } catch (IOException e) {
            return missing("the resource cannot be read: " + Reasons.of(e));
        }
        if (WINDOWS) {
            return cached(library, "");
        }
        Loaded loaded = temporary(library);
        return loaded.symbols == null ? cached(library, loaded.reason + "; ") : loaded;
    }

    /** Returns the name of a platform's resource. */
    static String resource(String system, String processor) {
        return system + "-" + processor + "/"
                + switch (system) {
                    case "windows" -> "nibble.dll";
                    case "macos" -> "libnibble.dylib";
                    default -> "libnibble.so";
                };
    }

    private static Loaded temporary(byte[] library) {
        try {
            // A fresh folder that only this user can enter: nobody else can put a file there.
            Path folder = Files.createTempDirectory("nibble-native-");
            Path file = folder.resolve("library");
            try {
                Files.write(file, library);
                return open(file);
            } finally {
                Files.deleteIfExists(file);
                Files.delete(folder);
            }
        } catch (IOException e) {
            return missing(System.getProperty("java.io.tmpdir") + ": " + Reasons.of(e));
        }
    }

    private static Loaded cached(byte[] library, String before) {
        String cache = System.getenv("NIBBLE_CACHE");
        Path folder = (cache != null && !cache.isBlank()
                        ? Path.of(cache)
                        : Path.of(System.getProperty("user.home", "."), ".cache", "nibble"))
                .resolve("native")
                .toAbsolutePath();
        Path file = folder.resolve(new Sha256().add(library).hex() + (WINDOWS ? ".dll" : ".so"));
        try {
            if (!Files.isRegularFile(file) || !Arrays.equals(Files.readAllBytes(file), library)) {
                Files.createDirectories(folder);
                Path partial = Files.createTempFile(folder, ".kernels", ".partial");
                try {
                    Files.write(partial, library);
                    Files.move(partial, file, StandardCopyOption.ATOMIC_MOVE, StandardCopyOption.REPLACE_EXISTING);
                } finally {
                    Files.deleteIfExists(partial);
                }
            }
        } catch (IOException e) {
            return missing(before + folder + ": " + Reasons.of(e));
        }
        Loaded loaded = open(file);
        return loaded.symbols == null ? missing(before + loaded.reason) : loaded;
    }

    private static Loaded open(Path file) {
        try {
            return checked(SymbolLookup.libraryLookup(file, Arena.global()));
        } catch (IllegalArgumentException e) {
            return missing(file + " cannot be loaded: " + Reasons.of(e));
        }
    }

    /** A library that was built for other classes than these takes other arguments: nothing of it is called. */
    static Loaded checked(SymbolLookup symbols) {
        long found = symbols.find("nibble_version").map(NativeLibrary::number).orElse(1L);
        return found == INTERFACE
                ? new Loaded(symbols, "")
                : missing("the library has interface " + found + ", these classes need " + INTERFACE
                        + "; build both from the same sources");
    }

    private static long number(MemorySegment at) {
        return at.reinterpret(ValueLayout.JAVA_LONG.byteSize()).get(ValueLayout.JAVA_LONG, 0);
    }

    private static Loaded missing(String reason) {
        return new Loaded(null, reason);
    }

    private static String system() {
        String name = System.getProperty("os.name", "").toLowerCase(Locale.ROOT);
        if (name.startsWith("mac")) {
            return "macos";
        }
        return name.startsWith("windows") ? "windows" : name;
    }

    private static String processor() {
        String name = System.getProperty("os.arch", "");
        return switch (name) {
            case "amd64" -> "x86_64";
            case "arm64" -> "aarch64";
            default -> name;
        };
    }
}
