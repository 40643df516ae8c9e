package nibble.engine.cuda.driver;

import static java.lang.foreign.SymbolLookup.*;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.lang.foreign.Arena;
import java.lang.foreign.SymbolLookup;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Set;
import java.util.stream.Stream;
import nibble.engine.backend.DeviceException;
import nibble.files.Reasons;

/**
 * Finds shared libraries of the CUDA toolkit, major version 13 or 12, in this order: {@code CUDA_HOME} and
 * {@code CUDA_PATH};
 * {@code /usr/local/cuda*}; the loader's own path; the {@code nvidia} packages of a Python environment.
 */
final class CudaLibraries {
    private static final List<String> MAJORS = List.of("13", "12");

    private CudaLibraries() {}

    /**
     * Loads {@code lib<name>.so.<13 or 12>} for the life of the process.
     *
     * @param companions libraries of the same folder that it opens by name only, as {@code cublasLt}; loaded first
     *     where present
     * @throws DeviceException naming what was looked for and where
     */
    static SymbolLookup load(String name, List<String> companions) {
        List<String> looked = new ArrayList<>();
        List<String> refused = new ArrayList<>();
        for (Path folder : folders()) {
            looked.add(folder.toString());
            for (String major : MAJORS) {
                Path file = folder.resolve("lib" + name + ".so." + major);
                if (!Files.isRegularFile(file)) {
                    continue;
                }
                try {
                    companions.forEach(companion -> loadCompanions(folder, companion, major));
                    return open(file);
                } catch (IllegalArgumentException e) {
                    refused.add(file + " (" + Reasons.of(e) + ")");
                }
            }
        }
        for (String major : MAJORS) {
            try {
                return open("lib" + name + ".so." + major);
            } catch (IllegalArgumentException e) {
                // Not on the loader's path either; the message below says so.
            }
        }
        throw new DeviceException("lib" + name + ".so.13 or .12 not found; looked in " + String.join(", ", looked)
                + " and on the loader's path" + (refused.isEmpty() ? "" : "; could not be loaded: " + refused)
                + ". Install the CUDA toolkit 12 or 13 or its cublas and nvrtc packages, or set CUDA_HOME to"
                + " where they are");
    }

    /** Loads a file for the life of the process; IllegalArgumentException if that fails. */
    private static SymbolLookup open(Path file) {
        return libraryLookup(file, Arena.global());
    }

    /** As {@link #open(Path)}, by a name that the loader looks up. */
    static SymbolLookup open(String name) {
        return libraryLookup(name, Arena.global());
    }

    private static void loadCompanions(Path folder, String companion, String major) {
        for (Path file : list(folder, "lib" + companion + ".so." + major)) {
            try {
                open(file);
            } catch (IllegalArgumentException e) {
                // The library itself then says what it misses.
            }
        }
    }

    /**
     * Where libraries may lie, the likeliest first; folders that do not exist are left out, except those a variable
     * names.
     */
    private static Set<Path> folders() {
        Set<Path> folders = new LinkedHashSet<>();
        for (String variable : List.of("CUDA_HOME", "CUDA_PATH")) {
            String home = System.getenv(variable);
            if (home != null && !home.isBlank()) {
                folders.add(Path.of(home, "lib64"));
                folders.add(Path.of(home, "lib"));
            }
        }
        List<Path> toolkits = new ArrayList<>(list(Path.of("/usr/local"), "cuda"));
        toolkits.sort(Comparator.comparing(Path::toString).reversed());
        for (Path toolkit : toolkits) {
            addIfFolder(folders, toolkit.resolve("lib64"));
            addIfFolder(folders, toolkit.resolve("targets/x86_64-linux/lib"));
        }
        for (String variable : List.of("VIRTUAL_ENV", "CONDA_PREFIX")) {
            String environment = System.getenv(variable);
            if (environment != null && !environment.isBlank()) {
                for (Path python : list(Path.of(environment, "lib"), "python3")) {
                    for (Path part : list(python.resolve("site-packages/nvidia"), "")) {
                        addIfFolder(folders, part.resolve("lib"));
                    }
                }
            }
        }
        return folders;
    }

    private static void addIfFolder(Set<Path> folders, Path folder) {
        if (Files.isDirectory(folder)) {
            folders.add(folder);
        }
    }

    private static List<Path> list(Path folder, String prefix) {
        if (!Files.isDirectory(folder)) {
            return List.of();
        }
        try (Stream<Path> entries = Files.list(folder)) {
            return entries.filter(p -> String.valueOf(p.getFileName()).startsWith(prefix))
                    .sorted()
                    .toList();
        } catch (IOException e) {
            throw new UncheckedIOException("looking for CUDA libraries in " + folder + ": " + Reasons.of(e), e);
        }
    }
}
