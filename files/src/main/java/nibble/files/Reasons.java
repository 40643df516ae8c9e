package nibble.files;

import com.fasterxml.jackson.core.JsonLocation;
import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.core.exc.StreamConstraintsException;
import com.fasterxml.jackson.core.io.JsonEOFException;
import com.fasterxml.jackson.databind.JsonMappingException;
import java.io.EOFException;
import java.io.FileNotFoundException;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.net.ConnectException;
import java.net.NoRouteToHostException;
import java.net.UnknownHostException;
import java.net.http.HttpTimeoutException;
import java.nio.channels.ClosedChannelException;
import java.nio.channels.UnresolvedAddressException;
import java.nio.charset.CharacterCodingException;
import java.nio.file.AccessDeniedException;
import java.nio.file.AtomicMoveNotSupportedException;
import java.nio.file.DirectoryNotEmptyException;
import java.nio.file.FileAlreadyExistsException;
import java.nio.file.FileSystemException;
import java.nio.file.FileSystemLoopException;
import java.nio.file.InvalidPathException;
import java.nio.file.NoSuchFileException;
import java.nio.file.NotDirectoryException;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.CompletionException;
import java.util.concurrent.ExecutionException;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import org.jspecify.annotations.Nullable;

/**
 * Turns what Java and its libraries throw into words for a person, in one place. Java's own texts are often a class's
 * name, a bare path, or advice for programmers.
 */
public final class Reasons {
    /** The reason that the older file classes put behind the path: {@code /a/b (Permission denied)}. */
    private static final Pattern IN_PARENTHESES = Pattern.compile(".* \\(([^()]+)\\)", Pattern.DOTALL);

    /** A class with its package, as {@code java.io.EOFException}, and what joins it to a message. */
    private static final Pattern CLASS_NAME =
            Pattern.compile("\\b(?:[a-z][a-z0-9_]*\\.)+[A-Z][A-Za-z0-9_$]*(?::\\s*)?");

    /** A class without its package. */
    private static final Pattern THROWABLE_NAME =
            Pattern.compile("\\b[A-Z][A-Za-z0-9]*(?:Exception|Error)\\b(?::\\s*)?");

    private static final Pattern JACKSON_PLACE =
            Pattern.compile("\\s*(?:\\(start marker )?at \\[Source: .*?\\]\\)?", Pattern.DOTALL);
    private static final Pattern JACKSON_CHARACTER =
            Pattern.compile("Unexpected character \\((.*?) \\(code \\d+[^)]*\\)\\).*", Pattern.DOTALL);
    private static final Pattern JACKSON_TOKEN = Pattern.compile("Unrecognized token '(.*?)'.*", Pattern.DOTALL);

    private Reasons() {}

    /**
     * Says why something failed: a phrase without a full stop, and without the file's name where that is all Java says.
     */
    public static String of(Throwable thrown) {
        return switch (thrown) {
            case JsonProcessingException json -> json(json);
            case UncheckedIOException e when e.getCause() != null && says(e.getCause(), e) -> of(e.getCause());
            case ExecutionException e when e.getCause() != null -> of(e.getCause());
            case CompletionException e when e.getCause() != null -> of(e.getCause());
            case AtomicMoveNotSupportedException _ -> "it cannot be renamed to there, which is another file system";
            case FileSystemException e -> fileSystem(e);
            case FileNotFoundException e -> inParentheses(e);
            case CharacterCodingException _ -> "it is not UTF-8 text";
            case EOFException _ -> "it ends early";
            case ClosedChannelException _ -> "it was closed meanwhile";
            case InvalidPathException e -> "\"" + e.getInput() + "\" is not a path (" + e.getReason() + ")";
            case IOException e when unresolved(e) -> "no such host";
            case UnknownHostException e -> "no such host" + (e.getMessage() == null ? "" : ": " + host(e.getMessage()));
            case HttpTimeoutException _ -> "no answer in time";
            case ConnectException e -> plain(e.getMessage(), "the connection was refused");
            case NoRouteToHostException _ -> "there is no way to this host";
            case NumberFormatException e -> number(e);
            case IndexOutOfBoundsException e -> plain(e.getMessage(), "a place that does not exist");
            case NullPointerException _ -> "a value is missing";
            case ClassCastException _ -> "a value is of another kind than expected";
            case StackOverflowError _ -> "it is nested too deeply";
            case OutOfMemoryError e -> "out of memory: " + plain(e.getMessage(), "the Java heap is full");
            default -> plain(thrown.getMessage(), deeper(thrown));
        };
    }

    /** Returns whether a connection failed because its host has no address. */
    public static boolean isUnknownHost(Throwable thrown) {
        return thrown instanceof UnknownHostException || unresolved(thrown);
    }

    /** Java's client wraps what it says of a name without an address into a refused connection. */
    private static boolean unresolved(Throwable thrown) {
        for (Throwable cause = thrown; cause != null; cause = cause.getCause()) {
            if (cause instanceof UnresolvedAddressException) {
                return true;
            }
        }
        return false;
    }

    /** Does what {@link #of} does, with the file that the system names. */
    public static String withFile(IOException e) {
        return e instanceof FileSystemException refused && refused.getFile() != null
                ? refused.getFile() + ": " + of(e)
                : of(e);
    }

    /** Whether a wrapper's text is only that of its cause. */
    private static boolean says(Throwable cause, Throwable wrapper) {
        return wrapper.getMessage() == null || wrapper.getMessage().equals(cause.toString());
    }

    private static String deeper(Throwable thrown) {
        return thrown.getCause() != null && thrown.getCause() != thrown ? of(thrown.getCause()) : "no reason is known";
    }

    private static String fileSystem(FileSystemException e) {
        return switch (e) {
            case NoSuchFileException _ -> "no such file or folder";
            case AccessDeniedException _ -> "permission denied";
            case FileAlreadyExistsException _ -> "it exists already";
            case DirectoryNotEmptyException _ -> "the folder is not empty";
            case NotDirectoryException _ -> "it is not a folder";
            case FileSystemLoopException _ -> "its links lead back to itself";
            default -> e.getReason() == null ? plain(e.getMessage(), "the system refused") : reason(e.getReason());
        };
    }

    /** What Linux and Java say of links that lead to each other is one text for two things. */
    private static String reason(String reason) {
        return reason.startsWith("Too many levels of symbolic links") ? "its links lead back to themselves" : reason;
    }

    private static String inParentheses(FileNotFoundException e) {
        Matcher matcher = IN_PARENTHESES.matcher(e.getMessage() == null ? "" : e.getMessage());
        return matcher.matches() ? matcher.group(1) : plain(e.getMessage(), "no such file");
    }

    /** Linux's resolver puts its own reason behind the host. */
    private static String host(String message) {
        int colon = message.indexOf(": ");
        return colon < 0 ? message : message.substring(0, colon);
    }

    private static String number(NumberFormatException e) {
        String message = plain(e.getMessage(), "");
        int quote = message.indexOf('"');
        return quote < 0 ? "found something that is not a number" : message.substring(quote) + " is not a number";
    }

    /** What is wrong with a JSON text and where, without the parser's own words. */
    private static String json(JsonProcessingException e) {
        String text = e.getOriginalMessage() == null
                ? ""
                : JACKSON_PLACE.matcher(e.getOriginalMessage()).replaceAll("");
        Matcher character = JACKSON_CHARACTER.matcher(text);
        Matcher token = JACKSON_TOKEN.matcher(text);
        String what;
        if (e instanceof JsonEOFException || text.startsWith("Unexpected end-of-input")) {
            what = "it ends early";
        } else if (character.matches()) {
            what = "found " + character.group(1) + " where JSON has something else";
        } else if (token.matches()) {
            what = "found \"" + token.group(1) + "\", which is no JSON";
        } else if (e instanceof StreamConstraintsException) {
            what = text.contains("nesting") ? "it is nested too deeply" : "a number or text in it is too long";
        } else if (text.startsWith("Duplicate field")) {
            what = text.replaceFirst("Duplicate field", "key") + " comes twice";
        } else if (e instanceof JsonMappingException mapping) {
            what = mapped(mapping);
        } else {
            what = plain(text, "it is no JSON");
        }
        return what + place(e.getLocation());
    }

    private static String mapped(JsonMappingException e) {
        if (e.getCause() != null
                && !(e.getCause() instanceof JsonProcessingException)
                && e.getCause().getMessage() != null) {
            return of(e.getCause());
        }
        List<String> keys = new ArrayList<>();
        for (JsonMappingException.Reference reference : e.getPath()) {
            keys.add(reference.getFieldName() != null ? reference.getFieldName() : "[" + reference.getIndex() + "]");
        }
        return keys.isEmpty()
                ? "it contains other data than expected"
                : "key " + String.join(".", keys) + " is missing, unknown or of another kind than expected";
    }

    private static String place(@Nullable JsonLocation location) {
        return location == null || location.getLineNr() < 1
                ? ""
                : " at line " + location.getLineNr() + ", column " + location.getColumnNr();
    }

    /** Returns a library's own text without names of classes. */
    public static String cleaned(@Nullable String text) {
        return plain(text, "no reason is known");
    }

    /** A message without names of classes, or what stands for one that says nothing else. */
    private static String plain(@Nullable String message, String otherwise) {
        if (message == null) {
            return otherwise;
        }
        String text = CLASS_NAME.matcher(message).replaceAll("");
        text = THROWABLE_NAME.matcher(text).replaceAll("").strip();
        return text.isEmpty() || text.equals("null") ? otherwise : text;
    }
}
