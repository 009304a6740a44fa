package raysweep;

import java.io.ByteArrayInputStream;
import java.io.DataInputStream;
import java.io.File;
import java.io.FileDescriptor;
import java.io.FileInputStream;
import java.io.FileOutputStream;
import java.io.IOException;
import java.lang.reflect.InvocationTargetException;
import java.lang.reflect.Method;

/**
 * Runs tests in the candidate's own process. A token comes through the standard input before the candidate's first
 * instruction; when the tests have returned it is shown, and a secret comes, which a pass needs. A guard against what
 * models write, no boundary: program and tests share a process.
 */
public final class Inside {
    private Inside() {}

    public static void main(String[] given) throws Exception {
        DataInputStream in = new DataInputStream(new FileInputStream(FileDescriptor.in));
        FileOutputStream out = new FileOutputStream(FileDescriptor.in);
        System.setIn(new ByteArrayInputStream(new byte[0]));
        out.write(Wire.READY);
        byte[] token = Wire.receive(in);
        byte[] noMemory = Verdict.ofMemory();
        noMemory = Wire.frame(noMemory, noMemory.length); // made while there is some
        Verdict.isForAThread(new OutOfMemoryError("")); // loads what it takes
        try {
            load(new File(System.getProperty("java.io.tmpdir")), "");
            run(out);
            show(out, 'D', token);
            show(out, 'S', Wire.receive(in));
        } catch (OutOfMemoryError e) {
            out.write(noMemory);
        }
        Runtime.getRuntime().halt(0);
    }

    /** Loads all classes of a folder, and runs none: a program could put others in place of its tests' files. */
    private static void load(File folder, String inPackage) {
        File[] files = folder.listFiles();
        for (int i = 0; files != null && i < files.length; i++) {
            String name = inPackage + files[i].getName();
            if (files[i].isDirectory()) {
                load(files[i], name + ".");
            } else if (name.endsWith(".class")) {
                try {
                    Class.forName(name.substring(0, name.length() - 6), false, Inside.class.getClassLoader());
                } catch (ClassNotFoundException | LinkageError e) {
                    continue; // it has the same error where it is used
                }
            }
        }
    }

    /** Runs the tests, and ends this process if one fails. */
    private static void run(FileOutputStream out) throws IOException {
        try {
            Method main = Class.forName("Main").getMethod("main", String[].class);
            main.setAccessible(true); // the class need not be public
            main.invoke(null, (Object) new String[0]);
        } catch (InvocationTargetException e) {
            end(out, e.getCause());
        } catch (Throwable e) {
            end(out, e);
        }
    }

    private static void show(FileOutputStream out, char kind, byte[] data) throws IOException {
        byte[] frame = new byte[1 + data.length];
        frame[0] = (byte) kind;
        System.arraycopy(data, 0, frame, 1, data.length);
        Wire.send(out, frame, frame.length);
    }

    private static void end(FileOutputStream out, Throwable thrown) throws IOException {
        thrown.printStackTrace();
        byte[] verdict = Verdict.of(thrown);
        Wire.send(out, verdict, verdict.length);
        Runtime.getRuntime().halt(1);
    }
}
