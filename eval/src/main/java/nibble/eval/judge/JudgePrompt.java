package nibble.eval.judge;

import java.util.Map;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import nibble.datasets.BadDatasetException;

/**
 * Holds one text that asks for a grade.
 *
 * @param name as judgments name it
 * @param system the system's message
 * @param template with {@code {question}}, {@code {answer}} and the like; double braces stand for braces
 */
record JudgePrompt(String name, String system, String template) {
    private static final Pattern PLACE = Pattern.compile("\\{\\{|\\}\\}|\\{(\\w+)\\}|[{}]");

    /** The text with what stands in the places, as Python's {@code str.format} puts it there. */
    String filled(Map<String, String> values) {
        Matcher place = PLACE.matcher(template);
        StringBuilder text = new StringBuilder();
        while (place.find()) {
            String name = place.group(1);
            String found = name == null ? null : values.get(name);
            if (name == null && place.group().length() == 2) {
                found = place.group().substring(1);
            }
            if (found == null) {
                throw new BadDatasetException("judge prompt " + this.name + ": nothing to put for " + place.group()
                        + "; it may name "
                        + String.join(", ", values.keySet().stream().sorted().toList()));
            }
            place.appendReplacement(text, Matcher.quoteReplacement(found));
        }
        return place.appendTail(text).toString();
    }
}
