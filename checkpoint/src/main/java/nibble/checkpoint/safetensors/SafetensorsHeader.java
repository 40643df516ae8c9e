package nibble.checkpoint.safetensors;

import com.fasterxml.jackson.core.JsonParser;
import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.core.JsonToken;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import nibble.checkpoint.source.BadCheckpointException;
import nibble.checkpoint.source.StrictJson;
import nibble.checkpoint.tensor.DType;
import nibble.checkpoint.tensor.Shape;
import org.jspecify.annotations.Nullable;

/** The JSON header of a safetensors file, read as a stream so that a hostile one costs no more than its entries. */
record SafetensorsHeader(List<Entry> entries, Map<String, String> metadata) {
    private static final int MAX_RANK = 32;

    /** A tensor: its data are bytes {@code begin} to {@code end} (exclusive) of what follows the header. */
    record Entry(String name, DType dtype, Shape shape, long begin, long end) {}

    static SafetensorsHeader parse(Path path, String json) {
        if (!json.startsWith("{")) {
            throw new BadCheckpointException(
                    path, "byte 8: the header does not start with \"{\"; this is not a safetensors file, get it again");
        }
        List<Entry> entries = new ArrayList<>();
        Map<String, String> metadata = new LinkedHashMap<>();
        try (JsonParser parser = StrictJson.parser(json)) {
            parser.nextToken();
            while (parser.nextToken() == JsonToken.FIELD_NAME) {
                String name = parser.currentName();
                if (name.equals("__metadata__")) {
                    readMetadata(path, parser, metadata);
                } else {
                    entries.add(readEntry(path, parser, name));
                }
            }
            if (parser.nextToken() != null) {
                throw new BadCheckpointException(
                        path,
                        "byte " + at(parser) + ": the header continues after its closing brace; get the file again");
            }
        } catch (JsonProcessingException e) {
            throw StrictJson.broken(path, "safetensors header", Long.BYTES, e);
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
        return new SafetensorsHeader(entries, metadata);
    }

    private static void readMetadata(Path path, JsonParser parser, Map<String, String> into) throws IOException {
        expect(path, parser, parser.nextToken(), JsonToken.START_OBJECT, "__metadata__", "an object of strings");
        while (parser.nextToken() == JsonToken.FIELD_NAME) {
            String key = parser.currentName();
            expect(path, parser, parser.nextToken(), JsonToken.VALUE_STRING, "__metadata__ key " + key, "a string");
            into.put(key, parser.getText());
        }
    }

    private static Entry readEntry(Path path, JsonParser parser, String name) throws IOException {
        String what = "tensor " + name;
        expect(path, parser, parser.nextToken(), JsonToken.START_OBJECT, what, "an object");
        @Nullable DType dtype = null;
        @Nullable List<Long> dims = null;
        @Nullable List<Long> offsets = null;
        while (parser.nextToken() == JsonToken.FIELD_NAME) {
            String key = parser.currentName();
            JsonToken value = parser.nextToken();
            switch (key) {
                case "dtype" -> {
                    expect(path, parser, value, JsonToken.VALUE_STRING, what + ": dtype", "a string");
                    dtype = dtype(path, what, parser.getText());
                }
                case "shape" -> dims = integers(path, parser, value, what + ": shape");
                case "data_offsets" -> offsets = integers(path, parser, value, what + ": data_offsets");
                default ->
                    throw new BadCheckpointException(
                            path,
                            "byte " + at(parser) + ": " + what + ": key \"" + key
                                    + "\" found, expected dtype, shape and data_offsets only; get the file again");
            }
        }
        if (dtype == null || dims == null || offsets == null) {
            String missing = dtype == null ? "dtype" : dims == null ? "shape" : "data_offsets";
            throw new BadCheckpointException(
                    path, what + ": has no " + missing + "; the header is damaged, get the file again");
        }
        if (offsets.size() != 2) {
            throw new BadCheckpointException(
                    path, what + ": " + offsets.size() + " data_offsets, expected begin and end; get the file again");
        }
        return checked(path, what, name, dtype, dims, offsets.getFirst(), offsets.getLast());
    }

    private static Entry checked(
            Path path, String what, String name, DType dtype, List<Long> dims, long begin, long end) {
        if (begin > end) {
            throw new BadCheckpointException(
                    path, what + ": data_offsets begin " + begin + " is after end " + end + "; get the file again");
        }
        long bytes;
        Shape shape;
        try {
            shape = new Shape(dims);
            bytes = dtype.bytes(shape.elements());
        } catch (ArithmeticException e) {
            throw new BadCheckpointException(
                    path,
                    what + ": shape " + dims
                            + " has more than 2^63 bytes, or no whole number; the header is damaged, get the file"
                            + " again",
                    e);
        }
        if (bytes != end - begin) {
            throw new BadCheckpointException(
                    path,
                    what + ": " + dtype + " " + shape + " takes " + bytes + " bytes, data_offsets " + begin + " to "
                            + end + " give " + (end - begin) + "; the header is damaged, get the file again");
        }
        return new Entry(name, dtype, shape, begin, end);
    }

    private static DType dtype(Path path, String what, String found) {
        return DType.named(found)
                .orElseThrow(() -> new BadCheckpointException(
                        path, what + ": dtype \"" + found + "\" is unknown; known: " + List.of(DType.values())));
    }

    /** A list of integers from 0 to 2^63 - 1. */
    private static List<Long> integers(Path path, JsonParser parser, @Nullable JsonToken value, String what)
            throws IOException {
        expect(path, parser, value, JsonToken.START_ARRAY, what, "a list of integers");
        List<Long> found = new ArrayList<>();
        while (parser.nextToken() != JsonToken.END_ARRAY) {
            expect(path, parser, parser.currentToken(), JsonToken.VALUE_NUMBER_INT, what, "integers only");
            boolean fits = parser.getNumberType() != JsonParser.NumberType.BIG_INTEGER && parser.getLongValue() >= 0;
            if (!fits || found.size() == MAX_RANK) {
                throw new BadCheckpointException(
                        path,
                        "byte " + at(parser) + ": " + what + ": found "
                                + (fits ? "more than " + MAX_RANK + " numbers" : parser.getText())
                                + ", expected at most " + MAX_RANK
                                + " integers from 0 to 2^63 - 1; get the file again");
            }
            found.add(parser.getLongValue());
        }
        return found;
    }

    private static void expect(
            Path path, JsonParser parser, @Nullable JsonToken found, JsonToken expected, String what, String words) {
        if (found != expected) {
            throw new BadCheckpointException(
                    path,
                    "byte " + at(parser) + ": " + what + ": found " + (found == null ? "the end" : described(found))
                            + ", expected " + words + "; the header is damaged, get the file again");
        }
    }

    private static String described(JsonToken token) {
        return switch (token) {
            case START_OBJECT -> "an object";
            case START_ARRAY -> "a list";
            case VALUE_STRING -> "a string";
            case VALUE_NUMBER_INT -> "an integer";
            case VALUE_NUMBER_FLOAT -> "a fraction";
            case VALUE_NULL -> "null";
            case VALUE_TRUE, VALUE_FALSE -> "a boolean";
            default -> token.toString();
        };
    }

    /** Byte of the file; exact for ASCII headers, which all real ones are. */
    private static long at(JsonParser parser) {
        return Long.BYTES + Math.max(0, parser.currentTokenLocation().getCharOffset());
    }
}
