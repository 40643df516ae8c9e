package nibble.hub;

import com.fasterxml.jackson.databind.JsonNode;
import java.io.IOException;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.HashSet;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.TreeSet;
import java.util.function.Predicate;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import nibble.checkpoint.SecondCopy;
import nibble.checkpoint.safetensors.SafetensorsIndex;
import nibble.hub.Downloader.Selection;
import nibble.hub.client.HubApi.RemoteFile;
import nibble.hub.client.HubException;
import nibble.hub.client.HubHttp;
import nibble.hub.client.RepoName;

/**
 * Which files of a repository a model needs: of several copies of the weights one, chosen before anything large is
 * brought.
 *
 * @param files what to bring
 * @param model the one file that is the model, if it is one; else the folder is
 */
record ModelFiles(List<RemoteFile> files, Optional<RemoteFile> model) {
    private static final String SAFETENSORS = ".safetensors";
    private static final String GGUF = ".gguf";

    /** Weights in formats that are not read here, or not where there are others. */
    private static final Pattern OTHER_FORMATS = Pattern.compile(
            "(?i).*\\.(h5|msgpack|onnx|onnx_data|ot|tflite|mlmodel|mlpackage|ckpt|pkl|npz|nemo|litertlm|task)|.*\\.data-0.*");

    private static final Pattern TORCH = Pattern.compile(".*\\.(bin|pth|pt)");

    /** What training leaves beside weights. */
    private static final Pattern TRAINING = Pattern.compile(
            "(?:.*/)?(?:training_args\\.bin|(?:optimizer|scheduler|scaler|rng_state|random_states)[^/]*)");

    /** GGUF files that are no model of their own: parts for images, statistics for quantizing. */
    private static final Pattern GGUF_ASIDE =
            Pattern.compile("(?i)(?:.*/)?(?:mmproj|imatrix)[^/]*\\.gguf|.*[-._](?:mmproj|imatrix)[^/]*\\.gguf");

    private static final Pattern NUMBERED = Pattern.compile("(.*)-\\d{5}-of-(\\d{5})(\\.[a-z]+)");

    /** Reads a small file of the repository. */
    interface Reader {
        byte[] read(RemoteFile file);

        /** Says that a file that an index names is not there. */
        default HubException absent(RepoName repo, String path) {
            return new HubException(repo + ": " + SafetensorsIndex.FILE_NAME + " names " + path
                    + ", which the repository does not have; its upload is not complete");
        }
    }

    /**
     * Chooses.
     *
     * @throws HubException if there are several models to choose from, naming them, or not the one asked for
     */
    static ModelFiles of(RepoName repo, List<RemoteFile> all, Selection selection, Reader reader) {
        if (all.isEmpty()) {
            throw new HubException(repo + ": has no files at this revision; check the name and the branch");
        }
        return switch (selection.kind()) {
            case ALL -> new ModelFiles(all, Optional.empty());
            case FILE -> named(repo, all, selection.file());
            case NEEDED -> needed(repo, all, reader);
        };
    }

    private static ModelFiles needed(RepoName repo, List<RemoteFile> all, Reader reader) {
        List<RemoteFile> safetensors = at(all, path -> path.endsWith(SAFETENSORS));
        if (!safetensors.isEmpty()) {
            return new ModelFiles(withSides(all, safetensors(repo, all, safetensors, reader)), Optional.empty());
        }
        List<RemoteFile> torch = at(
                all,
                path -> TORCH.matcher(path).matches() && !TRAINING.matcher(path).matches());
        if (!torch.isEmpty()) {
            return new ModelFiles(withSides(all, torch), Optional.empty());
        }
        Map<String, List<RemoteFile>> models = ggufModels(all);
        if (models.size() > 1) {
            throw new HubException(
                    repo + ": holds " + models.size() + " GGUF models; say which: " + choices(repo, models));
        }
        if (models.size() == 1) {
            List<RemoteFile> one = models.values().iterator().next();
            return new ModelFiles(withSides(all, one), Optional.of(one.getFirst()));
        }
        return new ModelFiles(all, Optional.empty());
    }

    /** Of safetensors at the top, those that loaders take: the single file, the index's, or all of one numbered set. */
    private static List<RemoteFile> safetensors(
            RepoName repo, List<RemoteFile> all, List<RemoteFile> found, Reader reader) {
        Optional<RemoteFile> single = find(found, "model.safetensors");
        if (single.isPresent()) {
            return List.of(single.get());
        }
        Optional<RemoteFile> index = find(all, SafetensorsIndex.FILE_NAME);
        if (index.isPresent()) {
            Set<String> named = indexed(repo, reader.read(index.get()));
            List<RemoteFile> shards =
                    found.stream().filter(file -> named.contains(file.path())).toList();
            if (shards.size() < named.size()) {
                shards.forEach(file -> named.remove(file.path()));
                throw reader.absent(repo, named.iterator().next());
            }
            return shards;
        }
        Set<String> names = new HashSet<>();
        found.forEach(file -> names.add(file.path()));
        List<RemoteFile> firsts = found.stream()
                .filter(file -> !SecondCopy.is(file.path(), names))
                .toList();
        Map<String, List<RemoteFile>> sets = sets(firsts);
        if (sets.size() > 1) {
            throw new HubException(repo + ": holds " + sets.size() + " sets of weights without an index; say which: "
                    + choices(repo, sets));
        }
        return firsts;
    }

    private static Set<String> indexed(RepoName repo, byte[] content) {
        try {
            Set<String> named = new TreeSet<>();
            HubHttp.JSON.readTree(content).path("weight_map").forEach((JsonNode file) -> named.add(file.asText("")));
            return named;
        } catch (IOException e) {
            throw new HubException(repo + ": " + SafetensorsIndex.FILE_NAME
                    + " is not JSON; tell its owner, or give the file to take as "
                    + repo + ":FILE");
        }
    }

    /** Models among GGUF files wherever they lie: a file, or files that were split, by the first one's path. */
    private static Map<String, List<RemoteFile>> ggufModels(List<RemoteFile> all) {
        return sets(all.stream()
                .filter(file -> file.path().endsWith(GGUF)
                        && !GGUF_ASIDE.matcher(file.path()).matches())
                .toList());
    }

    private static Map<String, List<RemoteFile>> sets(List<RemoteFile> files) {
        Map<String, List<RemoteFile>> byStem = new LinkedHashMap<>();
        for (RemoteFile file :
                files.stream().sorted(Comparator.comparing(RemoteFile::path)).toList()) {
            Matcher form = NUMBERED.matcher(file.path());
            String stem = form.matches() ? form.group(1) + "/" + form.group(2) + form.group(3) : file.path();
            byStem.computeIfAbsent(stem, _ -> new ArrayList<>()).add(file);
        }
        Map<String, List<RemoteFile>> byFirst = new LinkedHashMap<>();
        byStem.values().forEach(set -> byFirst.put(set.getFirst().path(), set));
        return byFirst;
    }

    private static String choices(RepoName repo, Map<String, List<RemoteFile>> models) {
        StringBuilder text = new StringBuilder();
        models.forEach((first, files) -> text.append(text.isEmpty() ? "" : ", ")
                .append(repo)
                .append(':')
                .append(first)
                .append(String.format(
                        Locale.ROOT,
                        " (%.2f GB)",
                        files.stream().mapToLong(RemoteFile::bytes).sum() / 1e9)));
        return text.toString();
    }

    /** The file of that path, or the GGUF model whose name alone has the text, as {@code Q4_K_M}. */
    private static ModelFiles named(RepoName repo, List<RemoteFile> all, String asked) {
        Map<String, List<RemoteFile>> models = ggufModels(all);
        for (List<RemoteFile> set : models.values()) {
            if (set.stream().anyMatch(file -> file.path().equals(asked))) {
                return new ModelFiles(set, Optional.of(set.getFirst()));
            }
        }
        Optional<RemoteFile> exact = find(all, asked);
        if (exact.isPresent()) {
            return new ModelFiles(withSides(all, List.of(exact.get())), exact);
        }
        String part = asked.toLowerCase(Locale.ROOT);
        List<List<RemoteFile>> fitting = models.entrySet().stream()
                .filter(model -> hasPart(model.getKey().toLowerCase(Locale.ROOT), part))
                .map(Map.Entry::getValue)
                .toList();
        if (fitting.size() == 1) {
            return new ModelFiles(
                    fitting.getFirst(), Optional.of(fitting.getFirst().getFirst()));
        }
        String there = models.isEmpty()
                ? String.join(", ", all.stream().map(RemoteFile::path).limit(20).toList())
                : choices(repo, models);
        throw new HubException(repo + ":" + asked + ": the repository has "
                + (fitting.isEmpty() ? "no such file" : "several such files")
                + "; it has " + there);
    }

    /** Whether a name has {@code part} as words of its own: {@code Q4_K} is not in {@code x-Q4_K_M}. */
    private static boolean hasPart(String name, String part) {
        return Pattern.compile("(?<![a-z0-9_])" + Pattern.quote(part) + "(?![a-z0-9_])")
                .matcher(name)
                .find();
    }

    /** The chosen weights and every file that is no weights. */
    private static List<RemoteFile> withSides(List<RemoteFile> all, List<RemoteFile> chosen) {
        return all.stream()
                .filter(file -> chosen.contains(file) || !isWeights(file.path(), chosen))
                .toList();
    }

    private static boolean isWeights(String path, List<RemoteFile> chosen) {
        return path.endsWith(SAFETENSORS)
                || path.endsWith(GGUF)
                || path.startsWith("original/")
                || TORCH.matcher(path).matches()
                || path.endsWith(".bin.index.json")
                        && chosen.stream()
                                .noneMatch(file -> TORCH.matcher(file.path()).matches())
                || TRAINING.matcher(path).matches()
                || OTHER_FORMATS.matcher(path).matches();
    }

    private static List<RemoteFile> at(List<RemoteFile> all, Predicate<String> wanted) {
        return all.stream()
                .filter(file -> !file.path().contains("/") && wanted.test(file.path()))
                .toList();
    }

    private static Optional<RemoteFile> find(List<RemoteFile> files, String path) {
        return files.stream().filter(file -> file.path().equals(path)).findFirst();
    }
}
