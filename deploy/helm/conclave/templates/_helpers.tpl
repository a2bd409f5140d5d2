{{- define "conclave.name" -}}
{{- printf "%s-conclave" .Release.Name | trunc 45 | trimSuffix "-" -}}
{{- end }}

{{- define "conclave.labels" -}}
app.kubernetes.io/name: conclave
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version }}
{{- end }}

{{- define "conclave.image" -}}
{{- printf "%s:%s" .Values.image.repository (.Values.image.tag | default .Chart.AppVersion) -}}
{{- end }}

{{- define "conclave.podSecurity" -}}
runAsNonRoot: true
runAsUser: 1000
runAsGroup: 1000
fsGroup: 1000
fsGroupChangePolicy: OnRootMismatch
seccompProfile:
  type: RuntimeDefault
{{- end }}

{{- define "conclave.containerSecurity" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities:
  drop: [ALL]
{{- end }}

{{/* The servers and TLS: what all connections have. */}}
{{- define "conclave.natsEnvironment" -}}
- name: NATS_URL
  value: {{ .Values.nats.url | quote }}
- name: CONCLAVE_PREFIX
  value: {{ .Values.prefix | quote }}
{{- if .Values.nats.tls.secret }}
- name: CONCLAVE_NATS_TLS_CA
  value: /tls/ca.crt
{{- if .Values.nats.tls.clientCertificate }}
- name: CONCLAVE_NATS_TLS_CERT
  value: /tls/tls.crt
- name: CONCLAVE_NATS_TLS_KEY
  value: /tls/tls.key
{{- end }}
{{- end }}
{{- end }}

{{- define "conclave.loginVariable" -}}
{{- if eq .Values.nats.loginKind "creds" }}CONCLAVE_NATS_CREDS{{ else }}CONCLAVE_NATS_NKEY_FILE{{ end -}}
{{- end }}

{{- define "conclave.loginSuffix" -}}
{{- if eq .Values.nats.loginKind "creds" }}creds{{ else }}nk{{ end -}}
{{- end }}

{{/* One container: of all actors of a peer, or of one. Takes a dict of root and actor. */}}
{{- define "conclave.container" -}}
{{- $root := .root -}}
{{- $values := $root.Values -}}
{{- $stores := or (eq .actor "all") (eq .actor "log-store") -}}
{{- $leads := or (eq .actor "all") (eq .actor "node") -}}
name: {{ if eq .actor "all" }}peer{{ else }}{{ .actor }}{{ end }}
image: {{ include "conclave.image" $root }}
imagePullPolicy: {{ $values.image.pullPolicy }}
# Not by CONCLAVE_CONFIG: health checks read no file.
args: [run, --config, /etc/conclave/conclave.json]
securityContext:
  {{- include "conclave.containerSecurity" $root | nindent 2 }}
env:
  - name: CONCLAVE_PEER
    valueFrom:
      fieldRef:
        fieldPath: metadata.name
  {{- if ne .actor "all" }}
  - name: CONCLAVE_ACTORS
    value: {{ .actor }}
  {{- end }}
  - name: CONCLAVE_GROUPS
    value: {{ join "," $values.groups | quote }}
  {{- include "conclave.natsEnvironment" $root | nindent 2 }}
  {{- if $values.nats.loginSecret }}
  - name: {{ include "conclave.loginVariable" $root }}
    value: /credentials/login
  {{- end }}
startupProbe:
  exec:
    command: [conclave, health]
  periodSeconds: 5
  timeoutSeconds: {{ $values.probes.timeoutSeconds }}
  failureThreshold: {{ max 1 (div (int $values.probes.startupSeconds) 5) }}
readinessProbe:
  exec:
    command: [conclave, health]
  periodSeconds: {{ $values.probes.periodSeconds }}
  timeoutSeconds: {{ $values.probes.timeoutSeconds }}
  failureThreshold: 2
# The process ends by itself where it finds itself wrong. Health also depends on NATS and the disk, which a restart does not repair.
livenessProbe:
  exec:
    command: [sh, -c, "kill -0 1"]
  periodSeconds: {{ $values.probes.periodSeconds }}
  timeoutSeconds: {{ $values.probes.timeoutSeconds }}
{{- if $leads }}
lifecycle:
  preStop:
    exec:
      command:
        - sh
        - -c
        - |
          {{- if $values.nats.operatorSecret }}
          unset CONCLAVE_NATS_NKEY_FILE CONCLAVE_NATS_CREDS
          export {{ include "conclave.loginVariable" $root }}=/operator/operator.{{ include "conclave.loginSuffix" $root }} CONCLAVE_NATS_INBOX_PREFIX=_INBOX.operator
          {{- end }}
          conclave leader transfer --from "$CONCLAVE_PEER" --all-groups --timeout-ms 5000 || true
{{- end }}
resources:
  {{- toYaml $values.resources | nindent 2 }}
volumeMounts:
  - name: config
    mountPath: /etc/conclave
    readOnly: true
  - name: tmp
    mountPath: /tmp
  {{- if $stores }}
  - name: data
    mountPath: /var/lib/conclave
  {{- end }}
  {{- if $values.nats.loginSecret }}
  - name: login
    mountPath: /credentials/login
    # A container sees the login of its own peer alone.
    subPathExpr: $(CONCLAVE_PEER).{{ include "conclave.loginSuffix" $root }}
    readOnly: true
  {{- end }}
  {{- if and $leads $values.nats.operatorSecret }}
  - name: operator
    mountPath: /operator
    readOnly: true
  {{- end }}
  {{- if $values.nats.tls.secret }}
  - name: tls
    mountPath: /tls
    readOnly: true
  {{- end }}
{{- end }}

{{/* Peers as a StatefulSet. Takes a dict of root, name, component and replicas. */}}
{{- define "conclave.statefulSet" -}}
{{- $root := .root -}}
{{- $values := $root.Values -}}
apiVersion: apps/v1
kind: StatefulSet
metadata:
  name: {{ .name }}
  labels:
    {{- include "conclave.labels" $root | nindent 4 }}
    app.kubernetes.io/component: {{ .component }}
spec:
  serviceName: {{ include "conclave.name" $root }}
  replicas: {{ .replicas }}
  # At the start all of them: a group is founded by peers that are up. An update takes one after the other.
  podManagementPolicy: Parallel
  updateStrategy:
    type: RollingUpdate
  minReadySeconds: 10
  selector:
    matchLabels:
      app.kubernetes.io/name: conclave
      app.kubernetes.io/instance: {{ $root.Release.Name }}
      app.kubernetes.io/component: {{ .component }}
  template:
    metadata:
      labels:
        {{- include "conclave.labels" $root | nindent 8 }}
        app.kubernetes.io/component: {{ .component }}
      annotations:
        checksum/config: {{ toJson $values.config | sha256sum }}
        {{- with $values.podAnnotations }}
        {{- toYaml . | nindent 8 }}
        {{- end }}
    spec:
      terminationGracePeriodSeconds: {{ $values.terminationGracePeriodSeconds }}
      # Nothing asks the cluster for anything.
      automountServiceAccountToken: false
      enableServiceLinks: false
      {{- with $values.imagePullSecrets }}
      imagePullSecrets:
        {{- toYaml . | nindent 8 }}
      {{- end }}
      securityContext:
        {{- include "conclave.podSecurity" $root | nindent 8 }}
      # Two peers on one machine are lost together.
      topologySpreadConstraints:
        - maxSkew: 1
          topologyKey: kubernetes.io/hostname
          whenUnsatisfiable: ScheduleAnyway
          labelSelector:
            matchLabels:
              app.kubernetes.io/name: conclave
              app.kubernetes.io/instance: {{ $root.Release.Name }}
      containers:
        {{- $actors := ternary (list "all") (list "log-store" "node" "replicator" "ballot-box") (eq $values.placement "one") }}
        {{- range $actors }}
        -
          {{- include "conclave.container" (dict "root" $root "actor" .) | nindent 10 }}
        {{- end }}
      volumes:
        - name: config
          configMap:
            name: {{ include "conclave.name" $root }}
        - name: tmp
          emptyDir: {}
        {{- with $values.nats.loginSecret }}
        - name: login
          secret:
            secretName: {{ . }}
            defaultMode: 288 # 0440
        {{- end }}
        {{- with $values.nats.operatorSecret }}
        - name: operator
          secret:
            secretName: {{ . }}
            defaultMode: 288 # 0440
        {{- end }}
        {{- with $values.nats.tls.secret }}
        - name: tls
          secret:
            secretName: {{ . }}
            defaultMode: 288 # 0440
        {{- end }}
      {{- with $values.nodeSelector }}
      nodeSelector:
        {{- toYaml . | nindent 8 }}
      {{- end }}
      {{- with $values.tolerations }}
      tolerations:
        {{- toYaml . | nindent 8 }}
      {{- end }}
      {{- with $values.affinity }}
      affinity:
        {{- toYaml . | nindent 8 }}
      {{- end }}
  volumeClaimTemplates:
    - metadata:
        name: data
      spec:
        accessModes: [ReadWriteOnce]
        {{- with $values.persistence.storageClass }}
        storageClassName: {{ . }}
        {{- end }}
        resources:
          requests:
            storage: {{ $values.persistence.size }}
{{- end }}
