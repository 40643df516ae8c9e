package nibble.files;

import java.io.IOException;
import java.io.InputStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.LinkOption;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import java.util.Locale;
import java.util.Optional;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import org.jspecify.annotations.Nullable;

/**
 * Finds what stands in the way of reading a file, before a parser trips over it: it is not there, is a folder, is
 * unreadable or empty, or it holds what clones and downloads leave in the place of a file: a Git LFS pointer, a web
 * page, a hub's error, another format. Every reader asks here first, so that each says the cause and the way out and
 * not its own symptom.
 */
public final class FileFault {
    private static final int HEAD_BYTES = 512;
    private static final String AGAIN = "; get the file again, as with 'nibble download ORG/NAME'";

    /** The specification allows these three first lines. */
    private static final Pattern LFS_POINTER = Pattern.compile(
            "version (?:https?://git-lfs\\.github\\.com|https?://hawser\\.github\\.com|http://git-media\\.io)/.*",
            Pattern.DOTALL);

    private static final Pattern LFS_SIZE = Pattern.compile("(?m)^size (\\d{1,18})$");
    private static final Pattern ANNEX_POINTER =
            Pattern.compile("(?:\\.\\./)*(?:\\.git|/annex)/(?:annex/)?objects/.*", Pattern.DOTALL);
    private static final Pattern LINK_TEXT = Pattern.compile("(?:\\.\\./)+blobs/[0-9a-f]{40,64}\\s*");

    private static final Pattern WEB_PAGE =
            Pattern.compile("<(?:!doctype\\s+html|html|head)(?:[\\s>].*)?", Pattern.DOTALL);

    /** What a hub answers instead of a file, and {@code curl -o} keeps. */
    private static final List<String> ANSWERS = List.of(
            "entry not found",
            "repository not found",
            "invalid username or password",
            "invalid credentials",
            "unauthorized",
            "access to model",
            "access to dataset",
            "you have been rate limited",
            "too many requests",
            "not found",
            "forbidden",
            "internal server error",
            "bad gateway",
            "{\"error\":");

    private FileFault() {}

    /**
     * Looks for what stands in the way.
     *
     * @param fine kinds of content that are right here; text and safetensors, which no first bytes tell, are right
     *     anywhere
     * @return what is wrong and what to do, as continues the file's name and a colon; empty if nothing is known to be
     *     wrong
     */
    public static Optional<String> of(Path file, Content... fine) {
        return Optional.ofNullable(found(file, true, fine));
    }

    /** Does what {@link #of} does, of a file that may be empty. */
    public static Optional<String> ofPerhapsEmpty(Path file, Content... fine) {
        return Optional.ofNullable(found(file, false, fine));
    }

    /** Says why opening or reading a file has failed; continues its name and a colon. */
    public static String of(Path file, IOException refused) {
        return refused instanceof NoSuchFileException && Files.isSymbolicLink(file)
                ? link(file, refused)
                : unreadable(refused);
    }

    private static @Nullable String found(Path file, boolean mustHoldSomething, Content... fine) {
        String absent = unreachable(file);
        if (absent != null || !Files.isRegularFile(file)) {
            // A pipe or a device can be read once: its reader shall have it.
            return absent;
        }
        try (InputStream in = Files.newInputStream(file)) {
            byte[] head = in.readNBytes(HEAD_BYTES);
            if (head.length == 0) {
                return mustHoldSomething ? "the file is empty (0 bytes), so it was cut short" + AGAIN : null;
            }
            boolean page =
                    String.valueOf(file.getFileName()).toLowerCase(Locale.ROOT).matches(".*\\.(html?|xml|svg)");
            return inPlaceOf(head, Files.size(file), page, fine);
        } catch (IOException e) {
            return unreadable(e);
        }
    }

    /** Whether there is no file to open: absent, a link into nothing, a folder. */
    private static @Nullable String unreachable(Path file) {
        if (Files.isDirectory(file)) {
            return "is a folder, expected a file; give the file's own path";
        }
        if (Files.exists(file)) {
            return null;
        }
        try {
            file.getFileSystem().provider().checkAccess(file);
            return null;
        } catch (IOException e) {
            if (Files.isSymbolicLink(file) && Files.exists(file, LinkOption.NOFOLLOW_LINKS)) {
                return link(file, e);
            }
            return e instanceof NoSuchFileException ? "no such file; check the path" : unreadable(e);
        }
    }

    private static String link(Path file, IOException refused) {
        try {
            Path target = Files.readSymbolicLink(file);
            return refused instanceof NoSuchFileException
                    ? "is a link to " + target + ", which is not there" + AGAIN
                    : "is a link to " + target + ", which cannot be followed: " + Reasons.of(refused) + AGAIN;
        } catch (IOException e) {
            return unreadable(e);
        }
    }

    private static String unreadable(IOException e) {
        String reason = Reasons.of(e);
        return "cannot be read: " + reason
                + (reason.equals("permission denied")
                        ? "; give yourself the right to read it (chmod u+r, or its owner's help)"
                        : "; check the disk and the path");
    }

    /**
     * What the first bytes say against a file.
     *
     * @param size of the whole file, bytes
     * @param page whether the file's name says that it is a web page
     */
    private static @Nullable String inPlaceOf(byte[] head, long size, boolean page, Content... fine) {
        String start = new String(head, StandardCharsets.ISO_8859_1);
        String text =
                start.startsWith("\u00ef\u00bb\u00bf") ? start.substring(3).stripLeading() : start.stripLeading();
        if (LFS_POINTER.matcher(text).matches()) {
            Matcher bytes = LFS_SIZE.matcher(text);
            String whole = bytes.find()
                    ? " of " + String.format(Locale.ROOT, "%,d", Long.parseLong(bytes.group(1))) + " bytes"
                    : "";
            return "is a Git LFS pointer, not the file" + whole
                    + " that it stands for; run 'git lfs pull' in its folder, or"
                    + " fetch the model with 'nibble download ORG/NAME'";
        }
        if (ANNEX_POINTER.matcher(text).matches()) {
            return "is a git-annex pointer, not the file that it stands for; run 'git annex get' in its folder";
        }
        if (LINK_TEXT.matcher(text).matches()) {
            return "holds the text of a link into a hub's cache, not the file; copy the folder with its links followed"
                    + " (cp -rL)";
        }
        String lower = text.toLowerCase(Locale.ROOT);
        if (!page && WEB_PAGE.matcher(lower).matches()) {
            return "is a web page, not the file: a download of the page that shows it, or of one that asks to log in"
                    + AGAIN;
        }
        if (!page && lower.startsWith("<?xml")) {
            return "is an XML text, as a store answers when it refuses, not the file" + AGAIN;
        }
        if (size < HEAD_BYTES * 4 && ANSWERS.stream().anyMatch(lower::startsWith)) {
            return "holds a server's answer, \"" + firstLine(text) + "\", not the file" + AGAIN;
        }
        Content kind = Content.of(head);
        if (kind != null && !Arrays.asList(fine).contains(kind)) {
            return "is " + kind + ", not the file that its name says; "
                    + (kind.compressed() ? "decompress it, or " : "")
                    + "get the file again, as with 'nibble download ORG/NAME'";
        }
        if (size >= HEAD_BYTES && allZero(head)) {
            return "begins with " + HEAD_BYTES + " zero bytes, as a download that never came leaves it" + AGAIN;
        }
        return null;
    }

    private static boolean allZero(byte[] head) {
        for (byte b : head) {
            if (b != 0) {
                return false;
            }
        }
        return head.length == HEAD_BYTES;
    }

    private static String firstLine(String text) {
        String line = text.lines().findFirst().orElse("").strip();
        return line.length() > 80 ? line.substring(0, 80) + "…" : line;
    }
}
