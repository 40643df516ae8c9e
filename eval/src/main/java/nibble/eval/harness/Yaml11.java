package nibble.eval.harness;

import java.math.BigInteger;
import java.util.LinkedHashMap;
import java.util.Locale;
import java.util.Map;
import java.util.function.Function;
import java.util.regex.Pattern;
import nibble.datasets.BadDatasetException;
import org.jspecify.annotations.Nullable;
import org.snakeyaml.engine.v2.api.ConstructNode;
import org.snakeyaml.engine.v2.api.Load;
import org.snakeyaml.engine.v2.api.LoadSettings;
import org.snakeyaml.engine.v2.exceptions.MarkedYamlEngineException;
import org.snakeyaml.engine.v2.exceptions.YamlEngineException;
import org.snakeyaml.engine.v2.nodes.Node;
import org.snakeyaml.engine.v2.nodes.ScalarNode;
import org.snakeyaml.engine.v2.nodes.Tag;
import org.snakeyaml.engine.v2.resolver.ScalarResolver;
import org.snakeyaml.engine.v2.schema.Schema;

/**
 * Reads YAML 1.1 as PyYAML does: {@code yes} and {@code off} are truth values, {@code 010} is eight, {@code 1_000} a
 * thousand. The only tag of its own is {@code !function}.
 */
final class Yaml11 implements Schema {
    private static final int MOST_CHARACTERS = 16 << 20;

    private static final Pattern TRUTH =
            Pattern.compile("yes|Yes|YES|no|No|NO|true|True|TRUE|false|False|FALSE|on|On|ON|off|Off|OFF");
    private static final Pattern NULL = Pattern.compile("~|null|Null|NULL|");
    private static final Pattern WHOLE = Pattern.compile("[-+]?(0b[01_]+|0[0-7_]+|0|[1-9][0-9_]*|0x[0-9a-fA-F_]+)");
    private static final Pattern FRACTION =
            Pattern.compile("[-+]?[0-9][0-9_]*\\.[0-9_]*([eE][-+][0-9]+)?|[-+]?\\.[0-9][0-9_]*([eE][-+][0-9]+)?"
                    + "|[-+]?\\.(inf|Inf|INF)|\\.(nan|NaN|NAN)");

    private Yaml11() {}

    /**
     * Reads a file.
     *
     * @param place of the file, for messages
     * @param family name of its folder
     * @throws BadDatasetException if the text is no YAML, or no map
     */
    static Map<String, @Nullable Object> read(String text, String place, String family) {
        ConstructNode function = node -> new FunctionName(
                scalar(node),
                place,
                family,
                node.getStartMark().map(mark -> mark.getLine() + 1).orElse(0));
        LoadSettings settings = LoadSettings.builder()
                .setSchema(new Yaml11())
                .setTagConstructors(Map.of(new Tag("!function"), function))
                .setAllowDuplicateKeys(true)
                .setAllowRecursiveKeys(false)
                .setCodePointLimit(MOST_CHARACTERS)
                .build();
        try {
            Object found = new Load(settings).loadFromString(text);
            if (found instanceof Map<?, ?> map) {
                Map<String, @Nullable Object> values = new LinkedHashMap<>();
                map.forEach((key, value) -> values.put(String.valueOf(key), value));
                return values;
            }
        } catch (MarkedYamlEngineException e) {
            String line = e.getProblemMark()
                    .map(mark -> ", line " + (mark.getLine() + 1))
                    .orElse("");
            throw new BadDatasetException(place + line + ": not YAML: " + e.getProblem(), e);
        } catch (YamlEngineException e) {
            throw new BadDatasetException(place + ": not YAML: " + e.getMessage(), e);
        } catch (StackOverflowError e) {
            throw new BadDatasetException(place + ": nested too deeply");
        }
        throw new BadDatasetException(place + ": no map of keys to values");
    }

    @Override
    public ScalarResolver getScalarResolver() {
        return (value, implicit) -> {
            if (!implicit) {
                return Tag.STR;
            }
            return NULL.matcher(value).matches()
                    ? Tag.NULL
                    : TRUTH.matcher(value).matches()
                            ? Tag.BOOL
                            : WHOLE.matcher(value).matches()
                                    ? Tag.INT
                                    : FRACTION.matcher(value).matches() ? Tag.FLOAT : Tag.STR;
        };
    }

    @Override
    public Map<Tag, ConstructNode> getSchemaTagConstructors() {
        return Map.of(
                Tag.NULL, node -> null,
                Tag.BOOL, of(text -> text.matches("(?i)yes|true|on")),
                Tag.INT, of(Yaml11::whole),
                Tag.FLOAT, of(Yaml11::fraction));
    }

    private static ConstructNode of(Function<String, Object> meaning) {
        return node -> meaning.apply(scalar(node));
    }

    private static String scalar(Node node) {
        if (node instanceof ScalarNode scalar) {
            return scalar.getValue();
        }
        throw new YamlEngineException("a text is expected after " + node.getTag());
    }

    private static Object whole(String text) {
        String plain = text.replace("_", "");
        boolean negative = plain.startsWith("-");
        String digits = plain.startsWith("+") || negative ? plain.substring(1) : plain;
        BigInteger value = digits.startsWith("0b")
                ? new BigInteger(digits.substring(2), 2)
                : digits.startsWith("0x")
                        ? new BigInteger(digits.substring(2), 16)
                        : new BigInteger(digits, digits.startsWith("0") && digits.length() > 1 ? 8 : 10);
        BigInteger signed = negative ? value.negate() : value;
        return signed.bitLength() < Long.SIZE ? (Object) signed.longValue() : signed;
    }

    private static Object fraction(String text) {
        String plain = text.replace("_", "").toLowerCase(Locale.ROOT);
        return switch (plain) {
            case ".inf", "+.inf" -> Double.POSITIVE_INFINITY;
            case "-.inf" -> Double.NEGATIVE_INFINITY;
            case ".nan" -> Double.NaN;
            default -> Double.parseDouble(plain);
        };
    }
}
