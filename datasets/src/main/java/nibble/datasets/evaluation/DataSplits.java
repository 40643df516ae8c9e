package nibble.datasets.evaluation;

import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.EnumMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import nibble.datasets.BadDatasetException;
import org.jspecify.annotations.Nullable;

/**
 * Finds the rows of a part of a data set as the file of a task names it: local files, the bundled data, the user's
 * folder, or the hub's cache. Keeps the rows of known sets, which several tasks share.
 */
public final class DataSplits {
    private static final List<String> FILE_KINDS = List.of("json", "csv", "parquet");

    /** Configuration of a data set that holds the rows of all others, told apart by their column {@code subject}. */
    private static final String ALL = "all";

    private final EvaluationData data;
    private final Map<EvaluationSet, Optional<DataRows>> known = new EnumMap<>(EvaluationSet.class);

    /** Looks in these places. */
    public DataSplits(EvaluationData data) {
        this.data = data;
    }

    /**
     * Names a data set as a task's file does.
     *
     * @param path {@code json}, {@code csv}, {@code parquet}, a folder, or a name on the hub
     * @param name the configuration; empty for the only one
     * @param options {@code dataset_kwargs}, of which {@code data_files}, {@code data_dir} are read
     * @param base the folder of the task's file, in which files are looked for that the present folder lacks
     */
    public record Source(String path, String name, Map<String, ?> options, Optional<Path> base) {}

    /** Finds rows. */
    public interface Parts {
        /**
         * Returns the rows of a part.
         *
         * @throws BadDatasetException if no place has them, or a file is damaged
         */
        DataRows require(Source source, String split);
    }

    /** Returns the rows of a part, as {@link Parts} has it. */
    public synchronized DataRows require(Source source, String split) {
        if (FILE_KINDS.contains(source.path)) {
            return RowFiles.read(files(source, split)).plain(null);
        }
        return known(source, split)
                .or(() -> data.folder()
                        .flatMap(folder -> EvaluationData.inFolder(fileName(source, split), folder))
                        .map(rows -> rows.plain(null)))
                .or(() -> folder(source, split))
                .or(() -> data.hubCache()
                        .flatMap(cache -> HubDataset.in(cache, source.path))
                        .flatMap(found -> found.rows(source.name, split))
                        .map(rows -> rows.plain(null)))
                .orElseThrow(() -> new BadDatasetException(missing(source, split)));
    }

    private static String fileName(Source source, String split) {
        String last = source.path.substring(source.path.lastIndexOf('/') + 1);
        return last + (source.name.isEmpty() ? "" : "." + source.name) + "." + split;
    }

    private Optional<DataRows> known(Source source, String split) {
        return set(source, split)
                .flatMap(set -> known.computeIfAbsent(set, one -> data.rows(one).map(rows -> rows.ofHub(one))))
                .flatMap(rows -> ofSubject(source, rows));
    }

    private static Optional<EvaluationSet> set(Source source, String split) {
        return Arrays.stream(EvaluationSet.values())
                .filter(set -> {
                    EvaluationSet.@Nullable Hub hub = set.hub();
                    return hub != null
                            && hub.repo().equals(source.path)
                            && hub.split().equals(split)
                            && (hub.config().equals(source.name) || hub.config().equals(ALL));
                })
                .findFirst();
    }

    private static Optional<DataRows> ofSubject(Source source, DataRows rows) {
        if (!rows.columns().contains("subject") || source.name.equals(ALL)) {
            return Optional.of(rows);
        }
        List<Map<String, @Nullable Object>> own = rows.rows().stream()
                .filter(row -> source.name.equals(row.get("subject")))
                .toList();
        return own.isEmpty() ? Optional.empty() : Optional.of(rows.with(own));
    }

    private static Optional<DataRows> folder(Source source, String split) {
        for (Path folder : places(source, source.path)) {
            if (Files.isDirectory(folder)) {
                return new HubDataset(folder).rows(source.name, split).map(rows -> rows.plain(null));
            }
        }
        return Optional.empty();
    }

    /** Files of {@code data_files}: a name, a list, or a map from parts to either. */
    private static List<Path> files(Source source, String split) {
        Object named = source.options.get("data_files");
        Object ofPart = named instanceof Map<?, ?> parts ? parts.get(split) : split.equals("train") ? named : null;
        if (ofPart == null) {
            throw new BadDatasetException(
                    "dataset_path " + source.path + ": dataset_kwargs.data_files names no file for" + " the part "
                            + split + ", only " + named + "; a file without a part is the part train");
        }
        List<Path> files = new ArrayList<>();
        for (Object one : ofPart instanceof List<?> list ? list : List.of(ofPart)) {
            files.add(places(source, one.toString()).stream()
                    .filter(Files::isRegularFile)
                    .findFirst()
                    .orElseThrow(() -> new BadDatasetException(one
                            + ": no such file, neither here nor beside the task's file; files are not downloaded")));
        }
        return files;
    }

    private static List<Path> places(Source source, String name) {
        Object folder = source.options.get("data_dir");
        String file = folder == null ? name : folder + "/" + name;
        List<Path> places = new ArrayList<>(List.of(Path.of(file)));
        source.base.ifPresent(base -> places.add(base.resolve(file)));
        return places;
    }

    private String missing(Source source, String split) {
        String places = data.folder()
                        .map(folder -> folder.resolve(fileName(source, split)) + ".jsonl, .json, .csv or .parquet, ")
                        .orElse("")
                + data.hubCache().map(cache -> "the hub's cache at " + cache).orElse("no hub cache");
        return "%s%s, part %s, is not bundled and was not found in %s; 'hf download --repo-type dataset %s' brings it"
                .concat(" into the cache")
                .formatted(
                        source.path, source.name.isEmpty() ? "" : " (" + source.name + ")", split, places, source.path);
    }
}
