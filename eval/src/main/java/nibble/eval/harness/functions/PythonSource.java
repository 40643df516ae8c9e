package nibble.eval.harness.functions;

import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import nibble.datasets.BadDatasetException;
import nibble.datasets.Utf8File;
import org.jspecify.annotations.Nullable;

/** Reads a list that a function of a Python file returns as it stands there. */
public final class PythonSource {
    private static final long MAX_BYTES = 4L << 20;

    private PythonSource() {}

    /**
     * Reads the list that a function returns.
     *
     * @param file whose digest is known already
     * @throws BadDatasetException if the function does not just return a list of dicts
     */
    public static List<Map<String, @Nullable Object>> list(Path file, String function) {
        return list(Utf8File.read(file, MAX_BYTES).text(), file + ": " + function);
    }

    static List<Map<String, @Nullable Object>> list(String source, String place) {
        String name = place.substring(place.lastIndexOf(' ') + 1);
        Matcher matcher = Pattern.compile(
                        "(?m)^def " + Pattern.quote(name) + "\\([^)]*\\)[^:]*:\\s+return (\\[[\\s\\S]*?\\n    \\])")
                .matcher(source);
        if (!matcher.find()) {
            throw new BadDatasetException(place + ": no function that returns a list");
        }
        List<Map<String, @Nullable Object>> rows = new ArrayList<>();
        try {
            for (Object one : PythonLiteral.of(matcher.group(1)) instanceof List<?> list ? list : List.of()) {
                Map<String, @Nullable Object> row = new LinkedHashMap<>();
                if (one instanceof Map<?, ?> map) {
                    map.forEach((key, value) -> row.put(String.valueOf(key), value));
                }
                rows.add(row);
            }
        } catch (IllegalArgumentException e) {
            throw new BadDatasetException(place + ": " + e.getMessage(), e);
        }
        return rows;
    }
}
