package nibble.cli.cluster;

import com.fasterxml.jackson.core.JacksonException;
import com.fasterxml.jackson.core.StreamReadFeature;
import com.fasterxml.jackson.core.type.TypeReference;
import com.fasterxml.jackson.databind.DeserializationFeature;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.cfg.CoercionAction;
import com.fasterxml.jackson.databind.cfg.CoercionInputShape;
import com.fasterxml.jackson.databind.cfg.MutableCoercionConfig;
import com.fasterxml.jackson.databind.json.JsonMapper;
import com.fasterxml.jackson.databind.type.LogicalType;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.InvalidPathException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import nibble.cli.option.InputException;
import nibble.cli.option.ModelArgument;
import nibble.cluster.quantize.TaskFolder;
import nibble.files.FileSize;
import nibble.files.Reasons;
import org.jspecify.annotations.Nullable;

/** Reads the rows of {@code nibble cluster quantize}, and checks all of them before any work. */
final class QuantizeRows {
    private static final TypeReference<List<@Nullable QuantizeRow>> ROWS = new TypeReference<>() {};
    private static final ObjectMapper JSON = JsonMapper.builder()
            .enable(StreamReadFeature.STRICT_DUPLICATE_DETECTION)
            .enable(DeserializationFeature.FAIL_ON_TRAILING_TOKENS)
            .withCoercionConfig(LogicalType.Textual, QuantizeRows::refuseNumbers)
            .build();

    private final Path jobs;
    private final List<QuantizeRow> rows = new ArrayList<>();
    /** By the folder that a row makes. */
    private final Map<Path, Integer> outs = new HashMap<>();

    private static void refuseNumbers(MutableCoercionConfig text) {
        for (CoercionInputShape found : new CoercionInputShape[] {
            CoercionInputShape.Integer, CoercionInputShape.Float, CoercionInputShape.Boolean
        }) {
            text.setCoercion(found, CoercionAction.Fail);
        }
    }

    private QuantizeRows(Path jobs) {
        this.jobs = jobs;
    }

    /**
     * Reads rows; their paths become absolute, since executors have other working folders.
     *
     * @throws InputException naming the row that cannot be done, counted from 0
     */
    static List<QuantizeRow> read(Path jobs) {
        QuantizeRows read = new QuantizeRows(jobs);
        for (QuantizeRow row : parse(jobs)) {
            read.add(row);
        }
        read.requireApart();
        return read.rows;
    }

    private static List<@Nullable QuantizeRow> parse(Path jobs) {
        @Nullable List<@Nullable QuantizeRow> rows;
        try {
            if (Files.size(jobs) > FileSize.parse("64MB")) {
                throw new InputException(jobs + ": more than 64 MB is no list of rows");
            }
            rows = JSON.readValue(Files.readString(jobs), ROWS);
        } catch (JacksonException e) {
            throw new InputException(
                    jobs + ": a list of {\"model\", \"out\", \"options\"} is expected: " + Reasons.of(e));
        } catch (IOException e) {
            throw new InputException(jobs + ": cannot be read: " + Reasons.of(e));
        }
        if (rows == null) {
            throw new InputException(jobs + ": a list of rows is expected, null found");
        }
        return rows;
    }

    private InputException wrong(int row, String what) {
        return new InputException(jobs + ": row " + row + " (counted from 0) " + what);
    }

    private void add(@Nullable QuantizeRow row) {
        int number = rows.size();
        if (row == null || row.model() == null || row.out() == null) {
            throw wrong(number, "lacks model or out");
        }
        Path out = path(number, "out", row.out());
        if (out.getFileName() == null) {
            throw wrong(number, "has the out " + row.out() + ", which is no folder that can be made");
        }
        if (TaskFolder.isAttempt(out)) {
            throw wrong(
                    number, "has the out " + row.out() + ", the form of an unfinished attempt's name; name another");
        }
        Integer other = outs.putIfAbsent(out, number);
        if (other != null) {
            throw wrong(number, "has the out of row " + other + ", " + row.out());
        }
        Path model = path(number, "model", row.model());
        String found = new ModelArgument(row.model()).exists() ? model.toString() : row.model();
        QuantizeRow absolute = new QuantizeRow(found, out.toString(), row.options());
        absolute.check(number);
        rows.add(absolute);
    }

    private Path path(int number, String key, String text) {
        if (text.isBlank() || text.startsWith("-") || text.startsWith("@")) {
            throw wrong(
                    number,
                    "has the " + key + " \"" + text + "\"; a path is expected, and one that begins with -"
                            + " or @ as ./" + text);
        }
        try {
            return Path.of(text).toAbsolutePath().normalize();
        } catch (InvalidPathException e) {
            throw wrong(number, "has a " + key + " that is no path: " + Reasons.of(e));
        }
    }

    /** A folder inside another row's would be there before that one is whole. */
    private void requireApart() {
        outs.forEach((out, number) -> {
            for (Path above = out.getParent(); above != null; above = above.getParent()) {
                Integer other = outs.get(above);
                if (other != null) {
                    throw wrong(number, "has an out inside that of row " + other + ", " + above);
                }
            }
        });
    }
}
