{{/* A pod of the service. (dict "top" $ "component" "worker") */}}
{{- define "thoracle.pod" -}}
{{- $values := .top.Values -}}
{{- $own := index $values .component -}}
{{- $role := ternary "all" .component (eq .component "single") -}}
metadata:
  labels:
    {{- include "thoracle.labels" . | nindent 4 }}
    {{- with $values.podLabels }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
  annotations:
    checksum/config: {{ include "thoracle.config" .top | sha256sum }}
    {{- with $values.podAnnotations }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
spec:
  serviceAccountName: {{ include "thoracle.name" .top }}
  {{- include "thoracle.restricted" .top | nindent 2 }}
  {{- include "thoracle.placement" . | nindent 2 }}
  # Longer than the service takes to let work in hand end (30 s) and connections close (10 s).
  terminationGracePeriodSeconds: 75
  {{- if ne .component "single" }}
  topologySpreadConstraints:
    {{- range list "kubernetes.io/hostname" "topology.kubernetes.io/zone" }}
    - topologyKey: {{ . }}
      maxSkew: 1
      whenUnsatisfiable: ScheduleAnyway
      labelSelector:
        matchLabels: {{ include "thoracle.selector" $ | nindent 10 }}
    {{- end }}
  {{- end }}
  containers:
    - name: thoracle
      image: {{ include "thoracle.image" .top }}
      imagePullPolicy: {{ $values.image.pullPolicy }}
      args: [serve, --config, /etc/thoracle/thoracle.yaml, --role, {{ $role }}]
      env: {{ include "thoracle.environment" .top | nindent 8 }}
      ports: {{ include "thoracle.ports" . | nindent 8 }}
      {{- include "thoracle.probes" . | nindent 6 }}
      lifecycle:
        preStop:
          exec: {command: [sleep, "5"]}  # until nobody is sent here any more
      resources: {{ toYaml $own.resources | nindent 8 }}
      securityContext: {{ include "thoracle.container" . | nindent 8 }}
      volumeMounts:
        - {name: config, mountPath: /etc/thoracle/thoracle.yaml, subPath: thoracle.yaml, readOnly: true}
        - {name: data, mountPath: /var/lib/thoracle}
        - {name: tmp, mountPath: /tmp}
        {{- include "thoracle.mounts" .top | nindent 8 }}
        {{- if $values.models.claim }}
        - {name: models, mountPath: /var/lib/thoracle/models, subPath: {{ $values.models.subPath | quote }}}
        {{- end }}
  volumes:
    - name: config
      configMap: {name: {{ include "thoracle.name" .top }}}
    - name: tmp
      {{- if $values.encryption.secret }}
      emptyDir: {medium: Memory, sizeLimit: 2Gi}  # workers read copies there, in the clear; counts as the pod's memory
      {{- else }}
      emptyDir: {sizeLimit: 8Gi}
      {{- end }}
    {{- if ne .component "single" }}
    - name: data
      emptyDir: {sizeLimit: 1Gi}
    {{- end }}
    {{- include "thoracle.volumes" .top | nindent 4 }}
    {{- with $values.models.claim }}
    - name: models
      persistentVolumeClaim: {claimName: {{ . }}}
    {{- end }}
{{- end }}

{{/* On which nodes, and before whom. (dict "top" $ "component" "worker") */}}
{{- define "thoracle.placement" -}}
{{- $own := index .top.Values .component -}}
{{- with $own.runtimeClassName }}
runtimeClassName: {{ . }}
{{- end }}
{{- with .top.Values.priorityClassName }}
priorityClassName: {{ . }}
{{- end }}
{{- with $own.nodeSelector }}
nodeSelector: {{ toYaml . | nindent 2 }}
{{- end }}
{{- with $own.tolerations }}
tolerations: {{ toYaml . | nindent 2 }}
{{- end }}
{{- end }}

{{- define "thoracle.ports" -}}
{{- if has .component (list "receiver" "single") }}
- {name: dicom, containerPort: 11112}
{{- end }}
{{- if has .component (list "api" "single") }}
- {name: http, containerPort: 8080}
- {name: probes, containerPort: 8081}
{{- else }}
- {name: metrics, containerPort: 9464}
{{- end }}
{{- end }}

{{/* One pod is ready while its DICOM port is open: a sender hears from the receiver itself what it refuses. */}}
{{- define "thoracle.probes" -}}
{{- $api := has .component (list "api" "single") -}}
{{- $port := ternary "probes" "metrics" $api -}}
startupProbe:
  httpGet: {path: /livez, port: {{ $port }}}
  periodSeconds: 5
  timeoutSeconds: 5
  failureThreshold: 60
livenessProbe:
  httpGet: {path: /livez, port: {{ $port }}}
  periodSeconds: 10
  timeoutSeconds: 10
  failureThreshold: 6
readinessProbe:
  {{- if eq .component "single" }}
  tcpSocket: {port: dicom}
  {{- else }}
  httpGet: {path: {{ ternary "/healthz" "/readyz" (eq .component "api") }}, port: {{ ternary "http" "metrics" $api }}}
  {{- end }}
  periodSeconds: 10
  timeoutSeconds: 10
{{- end }}

{{/* Pod Security Standard "restricted", and no token of the cluster. enableServiceLinks: its variables are THORACLE_... too. */}}
{{- define "thoracle.restricted" -}}
automountServiceAccountToken: false
enableServiceLinks: false
securityContext:
  runAsNonRoot: true
  fsGroup: 10001
  fsGroupChangePolicy: OnRootMismatch
  seccompProfile: {type: RuntimeDefault}
{{- with .Values.pullSecrets }}
imagePullSecrets:
  {{- range . }}
  - name: {{ . }}
  {{- end }}
{{- end }}
{{- end }}

{{- define "thoracle.container" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities: {drop: [ALL]}
{{- end }}

{{/* What a migration has, too. */}}
{{- define "thoracle.environment.shared" -}}
{{- if .Values.trial.enabled -}}
- name: DATABASE_PASSWORD
  valueFrom: {secretKeyRef: {name: {{ .Values.trial.secret }}, key: database-password}}
- name: THORACLE_DATABASE_URL
  value: postgresql+psycopg://thoracle:$(DATABASE_PASSWORD)@{{ include "thoracle.name" . }}-postgresql/thoracle
{{- else if .Values.database.secret -}}
- name: THORACLE_DATABASE_URL
  valueFrom: {secretKeyRef: {name: {{ .Values.database.secret }}, key: url}}
{{- end }}
{{- with .Values.timeZone }}
- name: TZ
  value: {{ . }}
{{- end }}
{{- end }}

{{- define "thoracle.environment" -}}
{{- $values := .Values -}}
{{- include "thoracle.environment.shared" . }}
{{- if $values.trial.enabled }}
- name: AWS_ACCESS_KEY_ID
  value: thoracle
- name: AWS_SECRET_ACCESS_KEY
  valueFrom: {secretKeyRef: {name: {{ $values.trial.secret }}, key: s3-password}}
{{- else if $values.s3.secret }}
{{- range list "AWS_ACCESS_KEY_ID" "AWS_SECRET_ACCESS_KEY" }}
- name: {{ . }}
  valueFrom: {secretKeyRef: {name: {{ $values.s3.secret }}, key: {{ . }}}}
{{- end }}
{{- end }}
{{- with $values.login.openidSecret }}
- name: THORACLE_API__LOGIN__OPENID__CLIENT_SECRET
  valueFrom: {secretKeyRef: {name: {{ . }}, key: client-secret}}
{{- end }}
{{- with $values.encryption.secret }}
- name: THORACLE_ENCRYPTION__MASTER_KEY
  valueFrom: {secretKeyRef: {name: {{ . }}, key: master-key}}
- name: THORACLE_ENCRYPTION__OLD_MASTER_KEYS
  valueFrom: {secretKeyRef: {name: {{ . }}, key: old-master-keys, optional: true}}
{{- end }}
{{- range $destination, $secret := $values.destinationSecrets }}
{{- $key := ternary "password" "token" (hasKey (dig $destination dict ($values.config.destinations | default dict)) "user") }}
- name: THORACLE_DESTINATIONS__{{ $destination }}__{{ upper $key }}
  valueFrom: {secretKeyRef: {name: {{ $secret }}, key: {{ $key }}}}
{{- end }}
{{- with $values.extraEnv }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{- define "thoracle.mounts" -}}
{{- range $name, $secret := .Values.certificates }}
- {name: certificate-{{ $name }}, mountPath: /etc/thoracle/certificates/{{ $name }}, readOnly: true}
{{- end }}
{{- with .Values.extraVolumeMounts }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{- define "thoracle.volumes" -}}
{{- range $name, $secret := .Values.certificates }}
- name: certificate-{{ $name }}
  secret: {secretName: {{ $secret }}, defaultMode: 0440}
{{- end }}
{{- with .Values.extraVolumes }}
{{ toYaml . }}
{{- end }}
{{- end }}
