package raysweep;

import java.io.ByteArrayOutputStream;
import java.io.DataInputStream;
import java.io.DataOutputStream;
import java.io.EOFException;
import java.io.FileDescriptor;
import java.io.FileInputStream;
import java.io.FileOutputStream;
import java.io.IOException;
import java.io.OutputStream;
import java.io.Writer;
import java.net.URI;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.TreeMap;
import javax.tools.Diagnostic;
import javax.tools.DiagnosticCollector;
import javax.tools.FileObject;
import javax.tools.ForwardingJavaFileManager;
import javax.tools.JavaCompiler;
import javax.tools.JavaFileManager;
import javax.tools.JavaFileObject;
import javax.tools.SimpleJavaFileObject;
import javax.tools.StandardJavaFileManager;
import javax.tools.ToolProvider;

/**
 * Compiles Java in memory, one request after another, without annotation processors.
 *
 * A frame is 4 bytes (big-endian) that hold the length of the rest. Request: for each file, length of its name (2 bytes),
 * name, length of its text (4 bytes), text in UTF-8. Answer: `K` and the classes, in the same form, or `E` and the
 * errors, one a line, as FILE:LINE:COLUMN: error: TEXT.
 */
final class CompilerServer {
    private static final int MOST_BYTES = 1 << 24;
    private static final int MOST_ERRORS = 5;
    private static final int MOST_OF_TRACE = 1 << 16;
    private static final long STACK_BYTES = 16L << 20;
    private static final int OUT_OF_MEMORY = 103; // exit code, which the builder knows

    private final JavaCompiler compiler = ToolProvider.getSystemJavaCompiler();
    private final StandardJavaFileManager files =
            compiler.getStandardFileManager(null, Locale.ROOT, StandardCharsets.UTF_8);
    private final List<String> options;
    private boolean isSound = true; // an error of the compiler's own may have left classes of it that can't be used

    private CompilerServer(String classPath) {
        options = List.of("-proc:none", "-nowarn", "-Xlint:none", "-implicit:none", "-g:none", "-cp", classPath);
    }

    public static void main(String[] arguments) throws Exception {
        DataInputStream in = new DataInputStream(new FileInputStream(FileDescriptor.in));
        DataOutputStream out = new DataOutputStream(new FileOutputStream(FileDescriptor.out));
        CompilerServer server = new CompilerServer(arguments[0]);
        while (true) {
            byte[] request;
            try {
                request = new byte[in.readInt()];
            } catch (EOFException end) {
                return;
            }
            in.readFully(request);
            byte[] answer = server.compiledInThread(request);
            ByteArrayOutputStream frame = new ByteArrayOutputStream(answer.length + 4);
            new DataOutputStream(frame).writeInt(answer.length);
            frame.write(answer);
            out.write(frame.toByteArray());
            if (!server.isSound) {
                return;
            }
        }
    }

    /** Compiles on a stack that deeply nested expressions fit on. */
    private byte[] compiledInThread(byte[] request) throws InterruptedException {
        byte[][] answer = new byte[1][];
        Thread thread = new Thread(null, () -> answer[0] = compiledOrWhy(request), "compiler", STACK_BYTES);
        thread.start();
        thread.join();
        return answer[0];
    }

    private byte[] compiledOrWhy(byte[] request) {
        try {
            return compiled(request);
        } catch (StackOverflowError error) {
            isSound = false;
            return error("it is nested too deeply");
        } catch (OutOfMemoryError error) {
            Runtime.getRuntime().halt(OUT_OF_MEMORY);
            return new byte[0];
        } catch (Throwable error) {
            isSound = false;
            return error("the compiler failed: " + error.getClass().getName());
        }
    }

    private byte[] compiled(byte[] request) throws IOException {
        DiagnosticCollector<JavaFileObject> messages = new DiagnosticCollector<>();
        Memory memory = new Memory(files);
        Trace trace = new Trace();
        boolean passed = compiler.getTask(trace, memory, messages, options, null, sources(request)).call();
        ByteArrayOutputStream bytes = new ByteArrayOutputStream();
        if (passed) {
            bytes.write('K');
            memory.write(new DataOutputStream(bytes));
            if (bytes.size() <= MOST_BYTES) {
                return bytes.toByteArray();
            }
            return error("its classes take more than 16 MiB");
        }
        StringBuilder text = new StringBuilder("E");
        int count = 0;
        for (Diagnostic<? extends JavaFileObject> message : messages.getDiagnostics()) {
            if (message.getKind() == Diagnostic.Kind.ERROR && count++ < MOST_ERRORS) {
                String name = message.getSource() == null ? "" : message.getSource().getName();
                String said = message.getMessage(Locale.ROOT).replace('\n', ' ');
                text.append(name).append(':').append(message.getLineNumber()).append(':');
                text.append(message.getColumnNumber()).append(": error: ");
                text.append(said, 0, Math.min(said.length(), 600)).append('\n');
            }
        }
        isSound = count > 0;
        return count > 0 ? text.toString().getBytes(StandardCharsets.UTF_8) : failure(trace.text.toString());
    }

    /** Says why the compiler failed without a word about the text, from the trace that it wrote then. */
    private static byte[] failure(String trace) {
        if (trace.contains("java.lang.OutOfMemoryError")) {
            throw new OutOfMemoryError();
        }
        boolean isDeep = trace.contains("java.lang.StackOverflowError");
        return error(isDeep ? "it is nested too deeply" : "the compiler failed, and doesn't say why");
    }

    /** Keeps the beginning of what the compiler writes beside its messages. */
    private static final class Trace extends Writer {
        private final StringBuilder text = new StringBuilder();

        @Override
        public void write(char[] characters, int start, int count) {
            text.append(characters, start, Math.min(count, Math.max(0, MOST_OF_TRACE - text.length())));
        }

        @Override
        public void flush() {
        }

        @Override
        public void close() {
        }
    }

    private static byte[] error(String reason) {
        return ("E:0:0: error: " + reason).getBytes(StandardCharsets.UTF_8);
    }

    private static List<Source> sources(byte[] request) throws IOException {
        List<Source> sources = new ArrayList<>();
        DataInputStream in = new DataInputStream(new java.io.ByteArrayInputStream(request));
        while (in.available() > 0) {
            String name = new String(in.readNBytes(in.readUnsignedShort()), StandardCharsets.UTF_8);
            sources.add(new Source(name, new String(in.readNBytes(in.readInt()), StandardCharsets.UTF_8)));
        }
        return sources;
    }

    private static final class Source extends SimpleJavaFileObject {
        private final String text;
        private final String name;

        Source(String name, String text) {
            super(URI.create("memory:///" + name), Kind.SOURCE);
            this.name = name;
            this.text = text;
        }

        @Override
        public String getName() {
            return name;
        }

        @Override
        public CharSequence getCharContent(boolean ignoreEncodingErrors) {
            return text;
        }

        /** Lets a public class of any name stand in any text, but takes none for package-info or module-info. */
        @Override
        public boolean isNameCompatible(String simpleName, Kind kind) {
            return kind == Kind.SOURCE && simpleName.indexOf('-') < 0;
        }
    }

    /** Keeps the classes that are written, and shows the compiler no file but those of class path and JDK. */
    private static final class Memory extends ForwardingJavaFileManager<JavaFileManager> {
        private final Map<String, ByteArrayOutputStream> classes = new TreeMap<>();

        Memory(JavaFileManager files) {
            super(files);
        }

        @Override
        public JavaFileObject getJavaFileForOutput(
                Location location, String name, JavaFileObject.Kind kind, FileObject sibling) {
            return new SimpleJavaFileObject(URI.create("memory:///class"), kind) {
                @Override
                public OutputStream openOutputStream() {
                    ByteArrayOutputStream bytes = new ByteArrayOutputStream();
                    classes.put(name, bytes);
                    return bytes;
                }
            };
        }

        @Override
        public void close() {
        }

        void write(DataOutputStream out) throws IOException {
            for (Map.Entry<String, ByteArrayOutputStream> one : classes.entrySet()) {
                byte[] name = one.getKey().getBytes(StandardCharsets.UTF_8);
                out.writeShort(name.length);
                out.write(name);
                out.writeInt(one.getValue().size());
                one.getValue().writeTo(out);
            }
        }
    }
}
