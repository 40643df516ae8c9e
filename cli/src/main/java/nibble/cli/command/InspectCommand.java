package nibble.cli.command;

import java.lang.foreign.Arena;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Objects;
import java.util.concurrent.Callable;
import java.util.regex.Pattern;
import java.util.stream.Collectors;
import java.util.stream.Stream;
import nibble.checkpoint.inspect.Abilities;
import nibble.checkpoint.inspect.ListedTensor;
import nibble.checkpoint.inspect.ModelContents;
import nibble.checkpoint.inspect.ModelContents.TypeShare;
import nibble.checkpoint.inspect.ModelExtents;
import nibble.cli.option.JsonOption;
import nibble.cli.option.ModelArgument;
import nibble.cli.terminal.ExitCode;
import nibble.cli.terminal.Figures;
import nibble.cli.terminal.Table;
import nibble.cli.terminal.Terminal;
import org.jspecify.annotations.Nullable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;
import picocli.CommandLine.Parameters;

@Command(
        name = "inspect",
        description =
                "Describes a model's files, of any architecture: format, types, bits per weight, metadata, and the"
                        + " commands that support it. --tensors lists every tensor.",
        mixinStandardHelpOptions = true,
        sortOptions = false)
final class InspectCommand implements Callable<Integer> {
    /** Metadata pairs that a person reads; --json has all. */
    private static final int SHOWN_PAIRS = 100;

    private static final int SHOWN_CHARACTERS = 70;

    /** Longer lists, as a vocabulary, are named by their length. */
    private static final int SHOWN_ELEMENTS = 16;

    private final Terminal terminal;

    @Parameters(
            paramLabel = "PATH",
            description = "A safetensors, GGUF or PyTorch file, or a checkpoint. " + ModelArgument.DESCRIPTION)
    @SuppressWarnings("NullAway.Init")
    private ModelArgument source;

    @Option(names = "--tensors", description = "Also list the tensors: name, type, shape, size, file.")
    private boolean listTensors;

    @Option(names = "--layer", paramLabel = "N", description = "List only the tensors of layer N.")
    private @Nullable Integer layer;

    @Mixin
    private JsonOption json = new JsonOption();

    InspectCommand(Terminal terminal) {
        this.terminal = terminal;
    }

    record Type(String type, int tensors, long weights, long bytes, double bitsPerWeight) {}

    record Tensor(String name, String dtype, List<Long> shape, long bytes, String file) {}

    /**
     * What --json holds.
     *
     * @param commands of Nibble that take the model
     * @param obstacle why they are no more; null for none
     * @param metadata long lists as their length in words
     */
    record Inspection(
            @Nullable String architecture,
            String format,
            @Nullable Long layers,
            @Nullable Long hiddenSize,
            @Nullable Long intermediateSize,
            @Nullable Long attentionHeads,
            @Nullable Long keyValueHeads,
            @Nullable Long vocabularySize,
            @Nullable Long contextTokens,
            long weights,
            double bitsPerWeight,
            long tensorBytes,
            List<Type> types,
            List<String> commands,
            @Nullable String obstacle,
            Map<String, Object> metadata,
            List<Tensor> tensors) {}

    @Override
    public Integer call() {
        source.require();
        json.requireWritable();
        Path path = source.folder(terminal);
        Inspection found;
        try (Arena arena = Arena.ofShared()) {
            found = inspection(ModelContents.read(path, arena));
        }
        json.write(terminal, found);
        if (!json.toStandardOutput()) {
            print(path, found);
        }
        return ExitCode.DONE;
    }

    private Inspection inspection(ModelContents contents) {
        ModelExtents extents = ModelExtents.of(contents);
        Abilities abilities = Abilities.of(contents);
        TypeShare all = contents.all();
        Map<String, Object> metadata = new LinkedHashMap<>();
        contents.metadata().forEach((key, value) -> metadata.put(key, shortened(value)));
        return new Inspection(
                extents.architecture(),
                contents.format(),
                extents.layers(),
                extents.hiddenSize(),
                extents.intermediateSize(),
                extents.attentionHeads(),
                extents.keyValueHeads(),
                extents.vocabularySize(),
                extents.contextTokens(),
                all.weights(),
                all.bitsPerWeight(),
                all.bytes(),
                contents.types().stream().map(InspectCommand::type).toList(),
                abilities.commands(),
                abilities.obstacle().orElse(null),
                metadata,
                contents.tensors().stream()
                        .filter(this::isWanted)
                        .map(InspectCommand::tensor)
                        .toList());
    }

    private static Type type(TypeShare share) {
        return new Type(share.type(), share.tensors(), share.weights(), share.bytes(), share.bitsPerWeight());
    }

    private static Tensor tensor(ListedTensor tensor) {
        return new Tensor(tensor.name(), tensor.type(), tensor.shape(), tensor.bytes(), tensor.file());
    }

    private boolean isWanted(ListedTensor tensor) {
        return layer == null
                || Pattern.compile("(.*\\.)?(layers|blk|h|blocks?)\\." + layer + "\\..*")
                        .matcher(tensor.name())
                        .matches();
    }

    private static Object shortened(Object value) {
        // A float of the file, which a double shows with digits that it never had.
        if (value instanceof Double number && number == number.floatValue()) {
            return number.floatValue();
        }
        if (!(value instanceof List<?> list) || list.size() <= SHOWN_ELEMENTS) {
            return value;
        }
        boolean texts = list.getFirst() instanceof String;
        return String.format(Locale.ROOT, "%,d %s", list.size(), texts ? "texts" : "values");
    }

    private void print(Path path, Inspection found) {
        var out = terminal.out();
        out.printf(
                Locale.ROOT,
                "%s: %s, %s bits per weight%n",
                path.getFileName(),
                found.format(),
                Figures.decimals(found.bitsPerWeight(), 2));
        String extents = extents(found);
        if (!extents.isEmpty()) {
            out.println(extents);
        }
        out.println();
        types(found).forEach(out::println);
        out.println();
        if (!found.metadata().isEmpty()) {
            metadata(found.metadata()).forEach(out::println);
            out.println();
        }
        if (listTensors || layer != null) {
            tensors(found.tensors()).forEach(out::println);
            out.println();
        }
        out.println(
                found.obstacle() == null
                        ? "Nibble takes it: " + String.join(", ", found.commands())
                        : "Nibble does no more than list it: " + printable(found.obstacle()));
        int tensors = found.types().stream().mapToInt(Type::tensors).sum();
        out.println(
                listTensors || layer != null
                        ? found.tensors().size() + " of " + tensors + " tensors shown"
                        : tensors + " tensors; --tensors lists them, --layer N those of one layer");
        out.flush();
    }

    private static String extents(Inspection found) {
        String sizes = Stream.of(
                        counted(found.layers(), "layers"),
                        named("hidden", found.hiddenSize()),
                        named("mlp", found.intermediateSize()),
                        found.keyValueHeads() == null
                                ? counted(found.attentionHeads(), "heads")
                                : counted(found.attentionHeads(), "heads (" + found.keyValueHeads() + " key/value)"),
                        named("vocabulary", found.vocabularySize()),
                        named("context", found.contextTokens()))
                .filter(Objects::nonNull)
                .collect(Collectors.joining(", "));
        return found.architecture() == null
                ? sizes
                : plain(found.architecture()) + (sizes.isEmpty() ? "" : ": " + sizes);
    }

    private static @Nullable String counted(@Nullable Long count, String what) {
        return count == null ? null : count + " " + what;
    }

    private static @Nullable String named(String what, @Nullable Long count) {
        return count == null ? null : what + " " + count;
    }

    private static List<String> types(Inspection found) {
        List<List<String>> rows = new ArrayList<>();
        found.types().forEach(type -> rows.add(row(type)));
        int tensors = found.types().stream().mapToInt(Type::tensors).sum();
        rows.add(row(new Type("all", tensors, found.weights(), found.tensorBytes(), found.bitsPerWeight())));
        return new Table(List.of("type", "tensors", "weights", "size", "bits per weight"), rows).lines();
    }

    private static List<String> row(Type type) {
        return List.of(
                type.type(),
                String.valueOf(type.tensors()),
                String.format(Locale.ROOT, "%,d", type.weights()),
                Figures.bytes(type.bytes()),
                type.weights() == 0 ? "" : Figures.decimals(type.bitsPerWeight(), 3));
    }

    private static List<String> metadata(Map<String, Object> pairs) {
        int width = pairs.keySet().stream()
                .limit(SHOWN_PAIRS)
                .mapToInt(key -> plain(key).length())
                .max()
                .orElse(0);
        List<String> lines = new ArrayList<>();
        pairs.entrySet().stream().limit(SHOWN_PAIRS).forEach(pair -> {
            String value = plain(String.valueOf(pair.getValue()));
            String key = plain(pair.getKey());
            lines.add(key + " ".repeat(width - key.length() + 2) + value);
        });
        if (pairs.size() > SHOWN_PAIRS) {
            lines.add("and " + (pairs.size() - SHOWN_PAIRS) + " more pairs, which --json has");
        }
        return lines;
    }

    private static List<String> tensors(List<Tensor> tensors) {
        List<List<String>> rows = new ArrayList<>();
        for (Tensor tensor : tensors) {
            rows.add(List.of(
                    printable(tensor.name()),
                    tensor.dtype(),
                    tensor.shape().toString(),
                    Figures.bytes(tensor.bytes()),
                    tensor.file()));
        }
        return new Table(List.of("tensor", "type", "shape", "size", "file"), rows).lines();
    }

    /** One line of a length that people read. */
    private static String plain(String text) {
        String line = printable(text);
        return line.length() <= SHOWN_CHARACTERS ? line : line.substring(0, SHOWN_CHARACTERS - 1) + "…";
    }

    /** A file may hold anything: what a terminal would take as an order is written out. */
    private static String printable(String text) {
        StringBuilder out = new StringBuilder();
        text.codePoints().forEach(c -> {
            if (c == '\n') {
                out.append("\\n");
            } else if (Character.isISOControl(c) || Character.getType(c) == Character.FORMAT) {
                out.append(String.format(Locale.ROOT, "\\u%04x", c));
            } else {
                out.appendCodePoint(c);
            }
        });
        return out.toString();
    }
}
