package nibble.datasets.chat;

import com.hubspot.jinjava.Jinjava;
import com.hubspot.jinjava.JinjavaConfig;
import com.hubspot.jinjava.LegacyOverrides;
import com.hubspot.jinjava.interpret.RenderResult;
import com.hubspot.jinjava.interpret.TemplateError;
import com.hubspot.jinjava.lib.fn.ELFunctionDefinition;
import java.time.LocalDateTime;
import java.time.format.DateTimeFormatter;
import java.time.format.TextStyle;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import nibble.datasets.BadDatasetException;
import nibble.files.Reasons;
import org.jspecify.annotations.Nullable;

/**
 * Jinja as transformers runs chat templates: blocks trimmed, and {@code raise_exception} and {@code strftime_now} besides. A
 * template comes with a checkpoint, so it is as hostile as one: it sees the given values only, and its output is bounded.
 */
final class Jinja {
    private static final long MAX_OUTPUT_CHARACTERS = 8 << 20;

    /** What the engine takes and then leaves out of account: filtered and recursive loops, and neighbours of a loop's item. */
    private static final Pattern SILENTLY_WRONG = Pattern.compile(
            "\\{%[-+]?\\s*for\\s[^%]*?\\sin\\s(?:[^%'\"]|'[^']*'|\"[^\"]*\")*?\\s(?:if|recursive)\\b|\\bloop\\.(?:previtem|nextitem|changed|cycle)\\b");

    /** Blanks before a block that begins its line, which are not text; the engine's own option takes those within a line too. */
    private static final Pattern INDENT_OF_BLOCK = Pattern.compile("(?m)^[ \\t]+(?=\\{%(?!\\+)|\\{#(?!\\+))");

    private static final Jinjava ENGINE = engine();

    private Jinja() {}

    private static Jinjava engine() {
        LegacyOverrides asInPython = LegacyOverrides.newBuilder()
                .withUsePyishObjectMapper(true)
                .withKeepNullableLoopValues(true)
                .withParseWhitespaceControlStrictly(true)
                .withIterateOverMapKeys(true)
                .withUseTrimmingForNotesAndExpressions(true)
                .withAllowAdjacentTextNodes(true)
                .build();
        Jinjava engine = new Jinjava(JinjavaConfig.newBuilder()
                .withTrimBlocks(true)
                // A message that holds {{ }} is text, not a template.
                .withNestedInterpretationEnabled(false)
                .withMaxOutputSize(MAX_OUTPUT_CHARACTERS)
                .withMaxRenderDepth(20)
                .withMaxStringLength(MAX_OUTPUT_CHARACTERS)
                .withLegacyOverrides(asInPython)
                .build());
        engine.getGlobalContext().registerFunction(function("raise_exception", "raise"));
        engine.getGlobalContext().registerFunction(function("strftime_now", "now"));
        return engine;
    }

    private static ELFunctionDefinition function(String name, String method) {
        return new ELFunctionDefinition("", name, Jinja.class, method, String.class);
    }

    /** @throws BadDatasetException naming {@code what}, for anything that the engine could not do */
    static String render(String what, String source, Map<String, Object> values) {
        RenderResult result;
        try {
            Matcher unsupported = SILENTLY_WRONG.matcher(source);
            if (unsupported.find()) {
                throw new BadDatasetException(what + ": \"" + unsupported.group()
                        + "\" is what this version cannot render; choose a built-in template");
            }
            result = ENGINE.renderForResult(INDENT_OF_BLOCK.matcher(source).replaceAll(""), values);
        } catch (BadDatasetException e) {
            throw e;
        } catch (RuntimeException | LinkageError | StackOverflowError e) {
            throw new BadDatasetException(what + ": cannot be rendered: " + Reasons.of(e), e);
        }
        List<TemplateError> errors = result.getErrors();
        if (!errors.isEmpty()) {
            TemplateError first = errors.getFirst();
            for (Throwable cause = first.getException(); cause != null; cause = cause.getCause()) {
                if (cause instanceof Refused refused) {
                    throw new BadDatasetException(what + " refuses the conversation: " + refused.getMessage());
                }
            }
            throw new BadDatasetException(what + ", line " + first.getLineno() + ": " + Reasons.cleaned(first.getMessage())
                    + "; the template uses what this version cannot render, choose a built-in one");
        }
        return result.getOutput();
    }

    private static final class Refused extends RuntimeException {
        private static final long serialVersionUID = 1L;

        Refused(@Nullable String message) {
            super(message);
        }
    }

    /** The function by which templates refuse. */
    public static Object raise(@Nullable String message) {
        throw new Refused(message);
    }

    /** Today's date in a format of C's strftime, as newer templates state it. */
    public static String now(String format) {
        LocalDateTime now = LocalDateTime.now(java.time.ZoneId.systemDefault());
        StringBuilder text = new StringBuilder();
        for (int i = 0; i < format.length(); i++) {
            char c = format.charAt(i);
            if (c != '%' || i + 1 == format.length()) {
                text.append(c);
                continue;
            }
            char field = format.charAt(++i);
            switch (field) {
                case 'd' -> text.append(DateTimeFormatter.ofPattern("dd", Locale.ROOT).format(now));
                case 'm' -> text.append(DateTimeFormatter.ofPattern("MM", Locale.ROOT).format(now));
                case 'Y' -> text.append(now.getYear());
                case 'y' -> text.append(DateTimeFormatter.ofPattern("yy", Locale.ROOT).format(now));
                case 'H' -> text.append(DateTimeFormatter.ofPattern("HH", Locale.ROOT).format(now));
                case 'M' -> text.append(DateTimeFormatter.ofPattern("mm", Locale.ROOT).format(now));
                case 'S' -> text.append(DateTimeFormatter.ofPattern("ss", Locale.ROOT).format(now));
                case 'b' -> text.append(now.getMonth().getDisplayName(TextStyle.SHORT, Locale.ENGLISH));
                case 'B' -> text.append(now.getMonth().getDisplayName(TextStyle.FULL, Locale.ENGLISH));
                case 'a' -> text.append(now.getDayOfWeek().getDisplayName(TextStyle.SHORT, Locale.ENGLISH));
                case 'A' -> text.append(now.getDayOfWeek().getDisplayName(TextStyle.FULL, Locale.ENGLISH));
                default -> throw new Refused("strftime_now cannot write %" + field);
            }
        }
        return text.toString();
    }
}
