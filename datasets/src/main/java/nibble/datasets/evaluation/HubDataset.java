package nibble.datasets.evaluation;

import java.io.IOException;
import java.nio.file.FileSystems;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.PathMatcher;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.stream.Stream;
import nibble.checkpoint.origin.FrontMatter;
import nibble.datasets.BadDatasetException;
import nibble.files.Reasons;
import org.jspecify.annotations.Nullable;

/**
 * A data set of a hub as a folder: a snapshot in the hub's cache, or any folder of the same form.
 *
 * @param folder with the files
 */
record HubDataset(Path folder) {
    /** The data set in a hub's cache, if its main branch is there. */
    static Optional<HubDataset> in(Path cache, String repo) {
        Path place = cache.resolve("datasets--" + repo.replace("/", "--"));
        Path ref = place.resolve("refs").resolve("main");
        if (!Files.isRegularFile(ref)) {
            return Optional.empty();
        }
        try {
            Path snapshot =
                    place.resolve("snapshots").resolve(Files.readString(ref).strip());
            return Files.isDirectory(snapshot) ? Optional.of(new HubDataset(snapshot)) : Optional.empty();
        } catch (IOException e) {
            throw new BadDatasetException(place + ": cannot be read: " + Reasons.of(e), e);
        }
    }

    /**
     * Rows of a part: by the list of files in the card's metadata if it has one, else by names, as
     * {@code CONFIG/SPLIT-00000-of-00001.parquet}.
     *
     * @param config empty for the only one
     * @throws BadDatasetException if a file is damaged
     */
    Optional<SourceRows> rows(String config, String split) {
        try (Stream<Path> all = Files.walk(folder)) {
            List<Path> files = all.filter(RowFiles::readable).sorted().toList();
            List<Path> stated = stated(config, split, files);
            List<Path> found = stated.isEmpty() ? named(config, split, files) : stated;
            return found.isEmpty() ? Optional.empty() : Optional.of(RowFiles.read(found));
        } catch (IOException e) {
            throw new BadDatasetException(folder + ": cannot be read: " + Reasons.of(e), e);
        }
    }

    /** By {@code configs} of README.md: {@code config_name}, {@code data_files} with {@code split} and {@code path}. */
    private List<Path> stated(String config, String split, List<Path> files) {
        Object configs =
                FrontMatter.ifReadable(folder.resolve("README.md")).values().get("configs");
        List<Path> found = new ArrayList<>();
        if (!(configs instanceof List<?> list)) {
            return found;
        }
        for (Object entry : list) {
            if (entry instanceof Map<?, ?> one
                    && (config.isEmpty() ? list.size() == 1 : config.equals(one.get("config_name")))
                    && one.get("data_files") instanceof List<?> parts) {
                for (Object part : parts) {
                    if (part instanceof Map<?, ?> of && split.equals(of.get("split"))) {
                        found.addAll(matching(of.get("path"), files));
                    }
                }
            }
        }
        return found;
    }

    private List<Path> matching(@Nullable Object patterns, List<Path> files) {
        List<?> all = patterns instanceof List<?> list ? list : List.of(String.valueOf(patterns));
        List<Path> found = new ArrayList<>();
        for (Object pattern : all) {
            PathMatcher matcher = FileSystems.getDefault().getPathMatcher("glob:" + pattern);
            files.stream()
                    .filter(file -> matcher.matches(folder.relativize(file)))
                    .forEach(found::add);
        }
        return found;
    }

    private static List<Path> named(String config, String split, List<Path> files) {
        return files.stream()
                .filter(file -> {
                    String name = String.valueOf(file.getFileName());
                    Path parent = file.getParent();
                    String in = parent == null ? "" : String.valueOf(parent.getFileName());
                    return (name.startsWith(split + "-") || name.startsWith(split + "."))
                            && (config.isEmpty() || in.equals(config));
                })
                .toList();
    }
}
