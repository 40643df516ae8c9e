package nibble.project;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.regex.Pattern;

/** Finds runs of code lines that stand in more than one place. */
final class RepeatedLines {
    /** What is no code: nothing, brackets alone, comments, imports. */
    private static final Pattern NO_CODE = Pattern.compile("[{}()\\[\\];,@\\s]*|(import |package |\\*|/\\*|//).*");

    private static final String LITERAL = "(\"(\\\\.|[^\"\\\\])*\"|[-\\w.]+)";

    /** A line of a table: literals, one after the other. */
    private static final Pattern DATA = Pattern.compile(LITERAL + "(, *" + LITERAL + ")*,?\\)?;?");

    private record Line(int number, String text) {}

    private RepeatedLines() {}

    /** The places of runs of {@code length} lines that stand before that too, one for each run however long. */
    static List<String> of(List<Path> files, int length) throws IOException {
        Map<List<String>, String> first = new HashMap<>();
        List<String> repeats = new ArrayList<>();
        for (Path file : files) {
            List<Line> lines = lines(file);
            int last = -2;
            for (int i = 0; i + length <= lines.size(); i++) {
                List<String> run =
                        lines.subList(i, i + length).stream().map(Line::text).toList();
                String place = file + ":" + lines.get(i).number();
                String before = first.putIfAbsent(run, place);
                if (before != null && i > last + 1) {
                    repeats.add(place + " repeats " + before);
                }
                last = before != null ? i : last;
            }
        }
        return repeats;
    }

    private static List<Line> lines(Path file) throws IOException {
        List<Line> lines = new ArrayList<>();
        boolean inText = false;
        int number = 0;
        for (String line : Files.readAllLines(file)) {
            number++;
            boolean wasInText = inText;
            inText ^= line.split("\"\"\"", -1).length % 2 == 0;
            String text = line.strip();
            if (!wasInText
                    && !inText
                    && !NO_CODE.matcher(text).matches()
                    && !DATA.matcher(text).matches()) {
                lines.add(new Line(number, text));
            }
        }
        return lines;
    }
}
